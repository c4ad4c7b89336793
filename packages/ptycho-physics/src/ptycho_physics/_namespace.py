"""The array namespace of the arguments, and the few operations outside the array API standard."""

import math
from typing import Any

import array_api_compat as compat

Array = Any
"""An array of any supported library: NumPy or PyTorch today."""


def namespace(*arrays: Array, xp: Any | None = None) -> Any:
    """Return ``xp``, or the array-API namespace shared by ``arrays``.

    Parameters
    ----------
    *arrays
        Arrays of one library.
    xp
        A namespace that wins over what the arrays say.

    Raises
    ------
    TypeError
        If the arrays belong to more than one library, or to none that is known.
    """
    return compat.array_namespace(*arrays) if xp is None else xp


def fft2(field: Array, xp: Any) -> Array:
    """Orthonormal 2-D FFT over the last two axes, zero frequency in the corner."""
    return xp.fft.fftn(field, axes=(-2, -1), norm="ortho")


def ifft2(field: Array, xp: Any) -> Array:
    """Inverse of `fft2`."""
    return xp.fft.ifftn(field, axes=(-2, -1), norm="ortho")


def abs2(field: Array, xp: Any) -> Array:
    """Squared modulus as ``re^2 + im^2``: unlike ``abs()**2`` its gradient at zero is finite."""
    if not xp.isdtype(field.dtype, "complex floating"):
        return field * field
    real, imag = xp.real(field), xp.imag(field)
    return real * real + imag * imag


def as_like(values: Array, like: Array, xp: Any) -> Array:
    """Move ``values`` to the library and device of ``like``, keeping the dtype.

    A tensor is moved by its own method, because ``asarray`` would cut it out of the graph of
    gradients.
    """
    if not compat.is_torch_array(like):
        return values
    if compat.is_torch_array(values):
        return values.to(like.device)
    return xp.asarray(values, device=compat.device(like))


def without_gradient(values: Array) -> Array:
    """Return ``values`` outside the graph of gradients, for checks."""
    return values.detach() if compat.is_torch_array(values) else values


def scatter_add(flat: Array, index: Array, values: Array) -> Array:
    """Add ``values`` to ``flat`` at ``index``, repeated indices accumulating, and return it.

    Parameters
    ----------
    flat : (p,) array
        Written in place; the caller gives it away.
    index : (q,) integer array
        Each in ``[0, p)``.
    values : (q,) array
        Same dtype as ``flat``.
    """
    if compat.is_torch_array(flat):
        return flat.index_add_(0, index, values)
    if compat.is_numpy_array(flat):
        import numpy as np

        np.add.at(flat, index, values)
        return flat
    msg = f"scatter_add: NumPy or PyTorch arrays expected, found {type(flat).__name__}"
    raise TypeError(msg)


def log_factorial(counts: Array, xp: Any) -> Array:
    """Return ``log(counts!)`` for non-negative, also non-integer, ``counts``.

    Stirling's series (Abramowitz & Stegun 6.1.41) for ``log(Gamma(z))`` at ``z = counts + 10``,
    brought back by the recurrence ``Gamma(z + 1) = z Gamma(z)``; in float64 the error is below
    1e-10 relative.
    """
    z = counts + 10.0
    shift = xp.zeros_like(counts)
    for k in range(1, 10):
        shift = shift + xp.log(counts + float(k))
    w = 1 / z
    series = w / 12 - w**3 / 360 + w**5 / 1260 - w**7 / 1680
    return (z - 0.5) * xp.log(z) - z + 0.5 * math.log(2 * math.pi) + series - shift
