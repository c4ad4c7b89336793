"""The R-factor: how far predicted amplitudes are from the measured ones."""

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
