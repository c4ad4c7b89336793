"""The R-factor: how far predicted amplitudes are from the measured ones."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._namespace import Array, namespace, to_numpy
from ptycho_physics.metrics._quality import Real, _same_shape


def r_factor_sums(
    modulus: Array, amplitude: Array, bad_pixels: Array | None = None, *, xp: Any | None = None
) -> tuple[Array, Array]:
    """Numerator and denominator of the R-factor of some patterns.

    Add both up over the batches of a scan and divide once; `r_factor` is for arrays that fit in
    memory.

    Parameters
    ----------
    modulus : (..., N, N) real array
        Predicted amplitudes, ``sqrt(rate)``.
    amplitude : (..., N, N) real array
        Measured amplitudes, ``sqrt(counts)``, in the same units.
    bad_pixels : (N, N) boolean array, optional
        True where a pixel is bad; it contributes nothing.

    Returns
    -------
    misfit, total : () real arrays
        ``sum |modulus - amplitude|`` and ``sum amplitude``, in the precision of the arrays.

    Examples
    --------
    >>> import numpy as np
    >>> misfit, total = r_factor_sums(np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]]))
    >>> float(misfit / total)
    0.25
    """
    xp = namespace(modulus, amplitude, xp=xp)
    difference = xp.abs(modulus - amplitude)
    if bad_pixels is not None:
        difference = xp.where(bad_pixels, xp.zeros_like(difference), difference)
        amplitude = xp.where(bad_pixels, xp.zeros_like(amplitude), amplitude)
    return xp.sum(difference), xp.sum(amplitude)


def r_factor(rate: Real, counts: Real, mask: NDArray[np.bool_] | None = None) -> float:
    """R-factor of measured counts, ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)``.

    Computed with NumPy in double precision.

    Parameters
    ----------
    rate : (..., N, N) real array
        Expected counts.
    counts : (..., N, N) real array
        Measured counts.
    mask : (N, N) boolean array, optional
        True where a pixel is bad; it contributes nothing.

    Returns
    -------
    float

    Raises
    ------
    InvalidValueError
        If the shapes differ, or all counts of good pixels are zero.

    Examples
    --------
    >>> import numpy as np
    >>> r_factor(np.array([[4.0, 9.0]]), np.array([[4.0, 4.0]]))
    0.25
    """
    rate, counts = to_numpy(rate), to_numpy(counts)
    _same_shape(rate, counts, "rate", "counts")
    modulus = np.sqrt(np.clip(rate, 0, None), dtype=np.float64)
    bad = None if mask is None else to_numpy(mask).astype(bool)
    misfit, total = r_factor_sums(modulus, np.sqrt(counts, dtype=np.float64), bad)
    if not total > 0:
        raise InvalidValueError("counts", "> 0 somewhere outside the mask", "zero everywhere")
    return float(misfit / total)


#: Rates between which the expectations are tabulated; outside, their limits hold to 1e-4.
_LOWEST, _HIGHEST = 1e-5, 1e4
#: Points of the table. Linear interpolation between them errs by less than 1e-4.
_POINTS = 1200
#: The mean of ``|sqrt(k) - sqrt(rate)|`` for many photons, where roots scatter by one half.
_MANY = 1 / math.sqrt(2 * math.pi)


@lru_cache(maxsize=1)
def _noise_table() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Logarithm of the rate, and the two expectations of `noise_r_factor_sums` over its root."""
    from scipy.special import gammaln  # takes long to import

    rates = np.geomspace(_LOWEST, _HIGHEST, _POINTS)
    misfit, total = np.empty(_POINTS), np.empty(_POINTS)
    for index, rate in enumerate(rates):
        spread = 12 * np.sqrt(rate) + 12
        k = np.arange(max(0, int(rate - spread)), int(rate + spread) + 1)
        chance = np.exp(k * np.log(rate) - rate - gammaln(k + 1))
        misfit[index] = chance @ np.abs(np.sqrt(k) - np.sqrt(rate))
        total[index] = chance @ np.sqrt(k)
    return np.log(rates), misfit / np.sqrt(rates), total / np.sqrt(rates)


def noise_r_factor_sums(rate: Real) -> tuple[float, float]:
    r"""Numerator and denominator of the R-factor that photon noise alone gives, on average.

    For counts :math:`k` that are Poisson distributed around the rates :math:`r`, the sums over all
    pixels of the expectations of :math:`|\\sqrt k - \\sqrt r|` and of :math:`\\sqrt k`. A model
    that is right has this R-factor, apart from what it has fitted to the noise.

    Parameters
    ----------
    rate : (...) real array
        Expected counts of good pixels, >= 0.

    Returns
    -------
    misfit, total : float

    Examples
    --------
    Many photons: the root of a count scatters by one half, :math:`1/\\sqrt{2 \\pi}` on average.

    >>> import numpy as np
    >>> misfit, total = noise_r_factor_sums(np.array([1e8]))
    >>> round(misfit, 4), round(total)
    (0.3989, 10000)
    """
    values = to_numpy(rate).astype(np.float64)
    root = np.sqrt(values)
    logarithm, misfit, total = _noise_table()
    with np.errstate(divide="ignore"):
        position = np.log(values)
    # Few photons: sqrt(k) is 0 but for one in 1 / rate, so that both go to sqrt(rate), rate.
    return (
        float(np.sum(root * np.interp(position, logarithm, misfit, left=1.0, right=0.0)))
        + float(np.sum(values > _HIGHEST)) * _MANY,
        float(np.sum(root * np.interp(position, logarithm, total, left=0.0, right=1.0))),
    )
