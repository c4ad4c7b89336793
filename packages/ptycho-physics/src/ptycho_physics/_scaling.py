"""The scales of counts in the forward model and in the input of a network.

``photons`` is the mean number of counts per pattern behind an object of unit amplitude; it is the
scale of the forward model. ``input_scale`` scales network input to order one, and nothing else
depends on it. ``intensity_scale`` is its inverse, with the name and the closed form of older
programs.
"""

import math
from typing import Any

from ptycho_config.errors import InvalidValueError

from ptycho_physics._forward import detected_fraction, propagate
from ptycho_physics._namespace import Array, abs2, namespace

FAINTEST_DEPARTURE = 0.01
"""Added to the denominator of a departure, where amplitudes are of order one, so that the noise of
an empty beam is not amplified to the contrast of a sample."""


CHUNK = 64
"""Patterns summed at a time: a whole stack is never copied."""

POSITIVE = "> 0 and finite"


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InvalidValueError(name, POSITIVE, f"{value:g}")


def _floating(values: Array, xp: Any) -> Array:
    """Return real floating values, float64 where they were integers."""
    floating = xp.isdtype(values.dtype, "real floating")
    return values if floating else xp.astype(values, xp.float64)


def input_scale(photons: float, N: int) -> float:
    """Return the factor on amplitudes that makes network input of order one.

    ``sqrt((N/2)^2 / photons)``, with ``photons`` the mean of ``sum(amplitude^2)`` over the training
    patterns.

    Raises
    ------
    InvalidValueError
        If ``photons`` is not positive and finite.
    """
    _check_positive("photons", photons)
    return N / 2 / math.sqrt(photons)


def intensity_scale(nphotons: float, N: int) -> float:
    """Return the historical intensity scale, ``sqrt(nphotons) / (N/2)``.

    Raises
    ------
    InvalidValueError
        If ``nphotons`` is not positive and finite.
    """
    _check_positive("nphotons", nphotons)
    return math.sqrt(nphotons) / (N / 2)


def departure_from_beam(
    x: Array, probe: Array, bad_pixels: Array | None = None, *, xp: Any | None = None
) -> Array:
    r"""Return the change of each pattern by the sample, normalised to an rms of one.

    With the amplitude :math:`e = (\sum_m |F P_m|^2)^{1/2}` without a sample, the result is

    .. math:: d = x - e \sum x e / \sum e^2

    divided by its rms. Most of a pattern is the far field of the probe, which is the same in all of
    them; without it a network need not learn to subtract it.

    Parameters
    ----------
    x : (..., N, N) real array
        Diffraction amplitudes of order one: multiplied by `input_scale`.
    probe : (M, N, N) complex array
        Probe modes of any power.
    bad_pixels : (N, N) boolean array, optional
        True where a pixel is bad; it is zero in the result.

    Returns
    -------
    (..., N, N) real array
    """
    xp = namespace(x, probe, xp=xp)
    empty = xp.sqrt(xp.sum(abs2(propagate(probe, xp=xp), xp), axis=-3))
    if bad_pixels is not None:
        empty = xp.where(bad_pixels, xp.zeros_like(empty), empty)
        x = xp.where(bad_pixels, xp.zeros_like(x), x)
    both = {"axis": (-2, -1), "keepdims": True}
    rest = x - empty * (xp.sum(x * empty, **both) / xp.sum(empty * empty))
    return rest / (xp.sqrt(xp.mean(rest * rest, **both)) + FAINTEST_DEPARTURE)


def photons_per_pattern(
    counts: Array, probe: Array, bad_pixels: Array | None = None, *, xp: Any | None = None
) -> float:
    """Return the mean number of photons per pattern, the ``photons`` of the forward model.

    An object of unit amplitude then reproduces the mean counts per pattern. For bad pixels the mean
    is increased by the fraction of the probe's far field that falls on them. The patterns are
    summed in pieces, so the stack is never copied.

    Parameters
    ----------
    counts : (n, N, N) real array
        Measured counts.
    probe : (M, N, N) complex array
        Probe modes of any power.
    bad_pixels : (N, N) boolean array, optional
        True where a pixel is bad; its value is ignored.

    Returns
    -------
    float

    Raises
    ------
    InvalidValueError
        If all counts of good pixels are zero, or one is not finite.
    """
    xp = namespace(counts, probe, xp=xp)
    total = 0.0
    for start in range(0, counts.shape[0], CHUNK):
        part = _floating(counts[start : start + CHUNK, ...], xp)
        if bad_pixels is not None:
            part = xp.where(bad_pixels, xp.zeros_like(part), part)
        total += sum(float(pattern) for pattern in xp.sum(part, axis=(-2, -1)))
    mean = total / int(counts.shape[0])
    if not 0 < mean < math.inf:
        advice = "is this a dark scan?" if mean == 0 else "mark bad pixels, or repair the file"
        rule = "of a finite mean > 0 per pattern"
        raise InvalidValueError("counts", rule, f"a mean of {mean:g}", advice)
    return mean if bad_pixels is None else mean / detected_fraction(probe, bad_pixels, xp=xp)
