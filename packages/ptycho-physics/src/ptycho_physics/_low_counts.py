r"""Corrections for low counts: the bias of the modulus, and the weight of a patch's own pattern.

**Bias.** The modulus constraint replaces the predicted modulus by :math:`\sqrt n`, whose mean is
smaller than the root of the mean count: half of it at a quarter of a photon. Such steps darken all
dim pixels, and those are most of a pattern of a thousand photons. With `OFFSET` photons added to
both sides the mean is right within a tenth at any rate (the transform of F. Anscombe, *Biometrika*
35, 246, 1948), and bright pixels hardly change.

**Own pattern.** A patch reconstructed from a pattern contains its noise, so it fits that pattern
better than the object does. Training by predicting patterns therefore has to predict each pattern
from the others (J. Batson and L. Royer, Noise2Self, *ICML*, 524, 2019), the more so the fewer
photons there are.
"""

import math
from typing import Any

from ptycho_physics._forward import probe_intensity
from ptycho_physics._namespace import Array, namespace

OFFSET = 1.0
"""Photons added to counts and rates before the root."""

ENOUGH = 10.0
"""Photons per pattern and lit pixel of the object at which the own pattern has half weight."""

LEAST_SHARE = 0.01
"""Smallest weight, so that a patch without overlap stays defined."""

RELAXATION, MOST_RELAXATION = 0.1, 0.5
"""Relaxation of a solver's step with many photons, and with few."""

HALF_WAY = 20.0
"""Photons per pattern and lit pixel at which the relaxation is in the middle."""

SLOWEST, HALF_PACE = 0.1, 5.0
"""Part of a step that the probe takes with few photons; photons per pattern and lit pixel at which
it is the root of that."""


def modulus_ratio(
    power: Array,
    amplitude: Array,
    photons: Array | float = math.inf,
    *,
    smallest: float = 1e-6,
    xp: Any | None = None,
) -> Array:
    r"""Return the relative change of predicted waves towards the measured modulus.

    .. math:: g \, \frac{\sqrt{a^2 + c} - \sqrt{m^2 + c}}{m}, \qquad c = OFFSET / photons,

    with predicted and measured modulus m and a. For infinitely many photons it is ``a / m - 1``.
    For fewer it changes a dim wave by less than its deficit; g, the inverse of the mean of this
    reduction over the photons of the pattern, compensates that.

    Parameters
    ----------
    power : (..., N, N) real array
        Predicted ``m**2``, of the order ``1 / N**2``: counts over ``photons``.
    amplitude : (..., N, N) real array
        Measured ``a``.
    photons
        Mean counts per pattern.
    smallest
        Modulus below which the phase of a wave is undefined, and its change small.

    Returns
    -------
    (..., N, N) real array
    """
    xp = namespace(power, amplitude, xp=xp)
    power, dark = power + smallest**2, OFFSET / photons
    modulus, predicted = xp.sqrt(power), xp.sqrt(power + dark)
    change = (xp.sqrt(amplitude * amplitude + dark) - predicted) / (modulus + smallest)
    slack = xp.sum(power * (modulus / predicted), axis=(-2, -1), keepdims=True)
    return change * (xp.sum(power, axis=(-2, -1), keepdims=True) / slack)


def lit_pixels(probe: Array, *, xp: Any | None = None) -> Array:
    """Return how many pixels of the object a probe lights: ``(sum I)**2 / sum I**2``.

    Parameters
    ----------
    probe : (M, N, N) complex array
        Probe modes of any power.

    Returns
    -------
    () real array
    """
    xp = namespace(probe, xp=xp)
    light = probe_intensity(probe, xp=xp)
    return xp.sum(light) ** 2 / xp.sum(light * light)


def few_photons(photons: float, probe: Array) -> str:
    """Return a remark on how few photons there are, or "" where there are enough (`ENOUGH`).

    Parameters
    ----------
    photons
        Mean counts per pattern.
    probe : (M, N, N) complex array
        Probe modes of any power.
    """
    per_pixel = photons / float(lit_pixels(probe))
    return "" if per_pixel >= ENOUGH else f"few photons, {per_pixel:.2g} per lit pixel"


def own_share(photons: Array | float, probe: Array, *, xp: Any | None = None) -> Array:
    """Return the weight of a patch, relative to others, in the prediction of its own pattern.

    Between `LEAST_SHARE` and one, as ``p**2 / (p**2 + ENOUGH**2)`` of the photons p per lit pixel:
    bright patterns have full weight.

    Parameters
    ----------
    photons
        Mean counts per pattern.
    probe : (M, N, N) complex array
        Probe modes of any power.

    Returns
    -------
    () real array
    """
    relative = (photons / lit_pixels(probe, xp=xp) / ENOUGH) ** 2
    return LEAST_SHARE + (1 - LEAST_SHARE) * relative / (relative + 1)


def noise_relaxation(photons: float, probe: Array) -> float:
    """Return the relaxation of a solver's step: large where photons are few, against noise.

    Parameters
    ----------
    photons
        Mean counts per pattern.
    probe : (M, N, N) complex array
        Probe modes of any power.

    Returns
    -------
    float
        Between `RELAXATION` and `MOST_RELAXATION`.
    """
    share = _fewness(photons, probe, HALF_WAY)
    return RELAXATION + (MOST_RELAXATION - RELAXATION) * share


def noise_probe_pace(photons: float, probe: Array) -> float:
    """Return the part of a step that a probe takes: small where photons are few.

    A full step explains the patterns of its batch as well as a probe can, with their noise. Small
    ones average over many batches: the probe is the same in all of them.

    Parameters
    ----------
    photons
        Mean counts per pattern.
    probe : (M, N, N) complex array
        Probe modes of any power.

    Returns
    -------
    float
        Between `SLOWEST` and one.
    """
    share = _fewness(photons, probe, HALF_PACE)
    return float(SLOWEST**share)


def _fewness(photons: float, probe: Array, half_way: float) -> float:
    """Return a number from one, without photons, to zero; one half at so many per lit pixel."""
    return half_way / (half_way + photons / float(lit_pixels(probe)))
