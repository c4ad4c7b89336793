r"""What few photons allow: how far to believe a dim pixel, and the pattern that a patch came from.

**Dim pixels.** A step that gives predicted waves the measured modulus asks every pixel for
:math:`\sqrt n`, which is too small on average: at a quarter of a photon, half of the root of the
mean. Such steps darken all that is dim, and that is most of a pattern of a thousand photons. With
`OFFSET` photons added on both sides the mean is right within a tenth at any rate (the transform of
F. Anscombe, *Biometrika* 35, 246, 1948), and bright pixels do not notice.

**One's own pattern.** What is reconstructed from a pattern carries its noise, so it explains that
very pattern better than the object does. Who learns by explaining patterns has to explain each from
the others (J. Batson and L. Royer, Noise2Self, *ICML*, 524, 2019), the more the fewer photons there
are.
"""

import math
from typing import Any

from ptycho_physics._forward import probe_intensity
from ptycho_physics._namespace import Array, namespace

OFFSET = 1.0
"""Photons added to counts and rates before the root."""

ENOUGH = 10.0
"""Photons per pattern and lit pixel of the object at which a pattern counts half for itself."""

LEAST_SHARE = 0.01
"""So that a patch that nobody shares stays defined."""


def modulus_ratio(
    power: Array,
    amplitude: Array,
    photons: Array | float = math.inf,
    *,
    smallest: float = 1e-6,
    xp: Any | None = None,
) -> Array:
    r"""Return the relative change of predicted waves that lets them explain a pattern.

    .. math:: g \, \frac{\sqrt{a^2 + c} - \sqrt{m^2 + c}}{m}, \qquad c = OFFSET / photons,

    of predicted and measured modulus m and a. Infinitely many photons leave the plain
    ``a / m - 1``. Fewer move a dim wave by less than it lacks; g, the inverse mean of this slack
    over the photons of the pattern, makes up for it.

    Parameters
    ----------
    power : (..., N, N) real array
        Predicted ``m**2``, of the order ``1 / N**2``: counts over ``photons``.
    amplitude : (..., N, N) real array
        Measured ``a``.
    photons
        Mean counts per pattern.
    smallest
        Modulus below which a wave has no direction to speak of, and gets little.

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
    """Say how few photons there are where a pattern counts less than half for itself, else nothing.

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
    """Return how much a patch counts, relative to others, where its own pattern is explained.

    From `LEAST_SHARE` up to one, as ``p**2 / (p**2 + ENOUGH**2)`` of the photons p per lit pixel:
    bright patterns count in full.

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
