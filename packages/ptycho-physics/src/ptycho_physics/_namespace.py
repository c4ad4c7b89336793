"""The array namespace of the arguments, and the few operations outside the array API standard."""

import math
from typing import Any

import array_api_compat as compat

Array = Any
"""An array of any library with an array-API namespace, its own or given as ``xp``."""


def namespace(*arrays: Array, xp: Any | None = None) -> Any:
    """Return ``xp``, or the array-API namespace shared by ``arrays``.

    Parameters
    ----------
    *arrays
        Arrays of one library.
    xp
        A namespace to use instead of that of the arrays.

    Raises
    ------
    TypeError
        If the arrays belong to more than one library, or to an unknown one.
    """
    return compat.array_namespace(*arrays) if xp is None else xp


def fft2(field: Array, xp: Any, norm: str = "ortho") -> Array:
    """Fourier transform of the last two axes, by default unitary."""
    return xp.fft.fftn(field, axes=(-2, -1), norm=norm)


def ifft2(field: Array, xp: Any, norm: str = "ortho") -> Array:
    """Inverse of `fft2`."""
    return xp.fft.ifftn(field, axes=(-2, -1), norm=norm)


def quick_norms(waves: Array) -> tuple[str, str, float]:
    """Return norms of `fft2` and of its adjoint, and the factor on the waves that compensates them.

    PyTorch normalises in an additional pass over memory, which is saved where the waves are
    multiplied by something anyway. Elsewhere unitary transforms cost nothing more.
    """
    if compat.is_torch_array(waves):
        return "backward", "forward", 1 / waves.shape[-1]
    return "ortho", "ortho", 1.0


def abs2(field: Array, xp: Any) -> Array:
    """Squared modulus as ``re^2 + im^2``: unlike ``abs()**2`` its gradient at zero is finite."""
    if not xp.isdtype(field.dtype, "complex floating"):
        return field * field
    if compat.is_torch_array(field):
        parts = xp.view_as_real(field.resolve_conj()).square()
        return parts[..., 0] + parts[..., 1]
    real, imag = xp.real(field), xp.imag(field)
    squared = real * real
    squared += imag * imag
    return squared


def as_like(values: Array, like: Array, xp: Any) -> Array:
    """Move ``values`` to the library and device of ``like``, keeping the dtype.

    A tensor is moved by its own method, because ``asarray`` would detach it from the graph.
    """
    if not compat.is_torch_array(like):
        return values
    if compat.is_torch_array(values):
        return values.to(like.device)
    return xp.asarray(values, device=compat.device(like))


def contiguous(values: Array, xp: Any) -> Array:
    """Return values in row-major memory: the rounding of sums depends on the order of memory."""
    if compat.is_torch_array(values):
        return values.contiguous()
    return xp.ascontiguousarray(values) if compat.is_numpy_array(values) else values


def real_dtype(like: Array, xp: Any) -> Any:
    """Return the real dtype of the precision of ``like``."""
    return xp.float64 if like.dtype in (xp.float64, xp.complex128) else xp.float32


def complex_dtype(like: Array, xp: Any) -> Any:
    """Return the complex dtype of the precision of ``like``."""
    return xp.complex128 if real_dtype(like, xp) == xp.float64 else xp.complex64


def constant(values: Any, like: Array, xp: Any) -> Array:
    """Bring a real NumPy array to the library, device and precision of ``like``."""
    return as_like(xp.asarray(values, dtype=real_dtype(like, xp)), like, xp)


def without_gradient(values: Array) -> Array:
    """Return ``values`` detached from the autograd graph, for checks."""
    return values.detach() if compat.is_torch_array(values) else values


def known(value: Array) -> float | None:
    """Return a single value as a number, for checks; None where a compiler only traces.

    Inside `jax.jit` or `tf.function` an array has no values yet, so they cannot be checked.
    """
    try:
        # TensorFlow would trace the function `float` as well.
        number: float = without_gradient(value).__float__()
    except (AttributeError, TypeError):
        return None
    return number


def times(values: Array, factor: Array, xp: Any) -> Array:
    """Multiply by a real array of the same precision, also in libraries without type promotion."""
    if hasattr(xp, "beyond"):
        factor = xp.astype(factor, values.dtype)
    return values * factor


def complex_of(real: Array, imag: Array, xp: Any) -> Array:
    """Return ``real + i imag`` of two real arrays of one dtype."""
    if compat.is_torch_array(real):
        return xp.complex(real, imag)
    if hasattr(xp, "beyond"):
        return xp.beyond.complex_of(real, imag)
    dtype = complex_dtype(real, xp)
    return xp.astype(real, dtype) + 1j * xp.astype(imag, dtype)


def to_numpy(values: Array) -> Any:
    """Copy an array of any library to NumPy, without its gradient."""
    import numpy as np

    if compat.is_torch_array(values):
        return values.detach().cpu().resolve_conj().numpy()
    return values.get() if compat.is_cupy_array(values) else np.asarray(values)


def scatter_add(flat: Array, index: Array, values: Array, xp: Any = None) -> Array:
    """Add ``values`` to ``flat`` at ``index``, repeated indices accumulating, and return it.

    Parameters
    ----------
    flat : (p,) array
        Overwritten where the library works in place: not to be used afterwards.
    index : (q,) integer array
        Each in ``[0, p)``.
    values : (q,) array
        Same dtype as ``flat``.
    xp
        A namespace may provide its own implementation as ``xp.beyond.scatter_add``.
    """
    if hasattr(xp, "beyond"):
        return xp.beyond.scatter_add(flat, index, values)
    if compat.is_torch_array(flat):
        return flat.index_add_(0, index, values)
    if compat.is_jax_array(flat):
        return flat.at[index].add(values)
    if compat.is_numpy_array(flat) or compat.is_cupy_array(flat):
        compat.array_namespace(flat).add.at(flat, index, values)
        return flat
    if hasattr(flat, "__array_namespace__"):
        import numpy as np

        # Any other library of the standard: through NumPy.
        result = np.array(np.from_dlpack(flat))
        np.add.at(result, np.asarray(np.from_dlpack(index), np.int64), np.from_dlpack(values))
        return compat.array_namespace(flat).asarray(result)
    msg = f"flat must be an array of the array API standard, got {type(flat).__name__}"
    raise TypeError(msg)


def log_factorial(counts: Array, xp: Any) -> Array:
    """Return ``log(counts!)`` for non-negative, also non-integer, ``counts``.

    Stirling's series (Abramowitz & Stegun 6.1.41) for ``log(Gamma(z))`` at ``z = counts + 10``,
    and the recurrence ``Gamma(z + 1) = z Gamma(z)``; in float64 the error is below
    1e-10 relative.
    """
    z = counts + 10.0
    shift = xp.zeros_like(counts)
    for k in range(1, 10):
        shift = shift + xp.log(counts + float(k))
    w = 1 / z
    series = w / 12 - w**3 / 360 + w**5 / 1260 - w**7 / 1680
    return (z - 0.5) * xp.log(z) - z + 0.5 * math.log(2 * math.pi) + series - shift
