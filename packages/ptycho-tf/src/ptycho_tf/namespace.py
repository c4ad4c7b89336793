"""TensorFlow as an array namespace, for the argument ``xp`` of `ptycho_physics`.

    from ptycho_tf import namespace as xp

    rate = expected_counts(patches, probe, photons, xp=xp)

It has the functions of the array API standard that the physics uses, on `tf.Tensor`, eagerly and
inside `tf.function`, also with an unknown batch size: `reshape` accepts such a size, the None of
``tensor.shape``, as it is. Gradients flow through all functions. Unsupported arguments raise an
error. ``beyond`` holds operations that the standard does not have.

As everywhere in TensorFlow, operands of arithmetic operators must have the same dtype; `astype`
converts a real tensor to a complex dtype.
"""

from types import SimpleNamespace
from typing import Any

from ptycho_tf.frameworks import tf

Tensor = Any

bool = tf.bool  # noqa: A001  the standard's name, as all below
int32, int64 = tf.int32, tf.int64
float32, float64 = tf.float32, tf.float64
complex64, complex128 = tf.complex64, tf.complex128
pi = 3.141592653589793

_KINDS = {
    "bool": {tf.bool},
    "integral": {tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64},
    "real floating": {tf.float32, tf.float64},
    "complex floating": {tf.complex64, tf.complex128},
}
_KINDS["numeric"] = _KINDS["integral"] | _KINDS["real floating"] | _KINDS["complex floating"]

# Alike in name and meaning.
abs, conj, cos, exp = tf.math.abs, tf.math.conj, tf.math.cos, tf.math.exp  # noqa: A001
floor, imag, log = tf.math.floor, tf.math.imag, tf.math.log
real, sign, sin, sqrt = tf.math.real, tf.math.sign, tf.math.sin, tf.math.sqrt
maximum, minimum = tf.math.maximum, tf.math.minimum
expand_dims, where = tf.expand_dims, tf.where
ones_like, zeros_like = tf.ones_like, tf.zeros_like


def __getattr__(name: str) -> Any:
    # `import` and `inspect` routinely look up dunder names.
    what = "" if name.startswith("__") else "; add it there, with a test of its gradient"
    msg = f"the TensorFlow namespace of ptycho_tf has no {name!r}{what}"
    raise AttributeError(msg)


def isdtype(dtype: Any, kind: str) -> Any:
    """Return whether a dtype is of a kind of the standard."""
    if kind not in _KINDS:
        msg = f"isdtype: kind must be one of {', '.join(_KINDS)}, found {kind!r}"
        raise ValueError(msg)
    return dtype in _KINDS[kind]


def astype(x: Tensor, dtype: Any) -> Tensor:
    """Convert to a dtype; complex tensors cannot be converted to real ones."""
    if x.dtype == dtype:
        return x
    if not dtype.is_complex:
        if x.dtype.is_complex:
            msg = f"astype: {x.dtype.name} cannot become {dtype.name}; take xp.real or xp.imag"
            raise TypeError(msg)
        return tf.cast(x, dtype)
    if x.dtype.is_complex:
        return tf.cast(x, dtype)
    # Unlike that of `tf.cast`, this gradient does not warn that it drops an imaginary part.
    part = tf.cast(x, dtype.real_dtype)
    return tf.complex(part, tf.zeros_like(part))


def asarray(obj: Any, *, dtype: Any = None, copy: Any = None) -> Tensor:
    """Make a tensor; an existing tensor keeps its gradient. Tensors are immutable."""
    del copy
    x = tf.convert_to_tensor(obj)
    return x if dtype is None else astype(x, dtype)


def arange(start: int, /, stop: int | None = None, step: int = 1, *, dtype: Any = int64) -> Tensor:
    """Return integers from ``start``, or zero, up to but excluding ``stop``."""
    return tf.range(0, start, step, dtype) if stop is None else tf.range(start, stop, step, dtype)


def zeros(shape: Any, *, dtype: Any = float32) -> Tensor:
    """Return zeros of a known shape."""
    return tf.zeros(shape, dtype)


def ones(shape: Any, *, dtype: Any = float32) -> Tensor:
    """Return ones of a known shape."""
    return tf.ones(shape, dtype)


def reshape(x: Tensor, shape: Any) -> Tensor:
    """Reshape; at most one size may be unknown, written -1 or None."""
    sizes = [-1 if size is None else size for size in shape]
    if sizes.count(-1) > 1:
        msg = f"reshape: at most one unknown size expected, found {tuple(shape)}"
        raise ValueError(msg)
    return tf.reshape(x, sizes)


def broadcast_to(x: Tensor, shape: Any) -> Tensor:
    """Broadcast to a known shape."""
    return tf.broadcast_to(x, shape)


def permute_dims(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Change the order of the axes."""
    return tf.transpose(x, axes)


def argmax(x: Tensor, *, axis: int = 0) -> Tensor:
    """Return the index of the largest value along an axis."""
    return tf.argmax(x, axis)


def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """Multiply matrices, or a matrix and a stack of them.

    `tf.linalg.matmul` of a matrix and a stack, which broadcasts, crashes on some CPUs.
    """
    if len(x1.shape) == len(x2.shape):
        return tf.linalg.matmul(x1, x2)
    if len(x2.shape) == 2:
        return tf.tensordot(x1, x2, [[-1], [0]])
    product = tf.tensordot(tf.linalg.matrix_transpose(x2), x1, [[-1], [1]])
    return tf.linalg.matrix_transpose(product)


def matrix_transpose(x: Tensor) -> Tensor:
    """Swap the last two axes."""
    return tf.linalg.matrix_transpose(x)


def flip(x: Tensor, *, axis: int) -> Tensor:
    """Reverse the order along an axis."""
    return tf.reverse(x, [axis])


def roll(x: Tensor, shift: int, *, axis: int) -> Tensor:
    """Shift along an axis, cyclically."""
    return tf.roll(x, shift, axis)


def concat(arrays: Any, *, axis: int = 0) -> Tensor:
    """Concatenate along an axis."""
    return tf.concat(arrays, axis)


def stack(arrays: Any, *, axis: int = 0) -> Tensor:
    """Stack along a new axis."""
    return tf.stack(arrays, axis)


def take(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """Gather along an axis."""
    return tf.gather(x, indices, axis=axis)


def clip(x: Tensor, min: Any = None, max: Any = None) -> Tensor:  # noqa: A002
    """Limit values from below, above or both."""
    x = x if min is None else tf.maximum(x, tf.cast(min, x.dtype))
    return x if max is None else tf.minimum(x, tf.cast(max, x.dtype))


def _reduction(reduce: Any) -> Any:
    def function(x: Tensor, *, axis: Any = None, keepdims: Any = False) -> Tensor:
        return reduce(x, axis=axis, keepdims=keepdims)

    return function


sum, mean = _reduction(tf.reduce_sum), _reduction(tf.reduce_mean)  # noqa: A001
max, min = _reduction(tf.reduce_max), _reduction(tf.reduce_min)  # noqa: A001


def _transform(transform: Any, power: float) -> Any:
    def function(x: Tensor, *, axes: tuple[int, ...], norm: str) -> Tensor:
        # TensorFlow transforms the last two axes, whatever their number, and has no norm.
        if tuple(axes) != (-2, -1) or norm != "ortho":
            msg = f"fft: axes=(-2, -1) and norm='ortho' expected, found {axes} and {norm!r}"
            raise ValueError(msg)
        size = tf.cast(tf.math.reduce_prod(tf.shape(x)[-2:]), x.dtype.real_dtype)
        return transform(x) * astype(size**power, x.dtype)

    return function


fft = SimpleNamespace(
    fftn=_transform(tf.signal.fft2d, -0.5),
    ifftn=_transform(tf.signal.ifft2d, 0.5),
    fftshift=lambda x, *, axes: tf.signal.fftshift(x, axes),
    ifftshift=lambda x, *, axes: tf.signal.ifftshift(x, axes),
)


def _scatter_add(flat: Tensor, index: Tensor, values: Tensor) -> Tensor:
    return tf.tensor_scatter_nd_add(flat, index[:, None], values)


beyond = SimpleNamespace(complex_of=tf.complex, scatter_add=_scatter_add)
