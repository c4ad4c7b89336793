"""Complex numbers as pairs of real tensors: a namespace for the argument ``xp`` of the physics.

ONNX has no complex numbers. With this namespace the functions of `ptycho_physics` that the networks
use compute with two real tensors instead, and a Fourier transform is two products with a matrix.
The formulas stay where they are.

Real tensors are those of PyTorch, and functions of them are its own; it has what
`ptycho_physics.unrolled` needs, and an error names what is missing.
"""

from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

__all__ = ["Pair"]

float32, float64 = torch.float32, torch.float64
complex64, complex128 = torch.complex64, torch.complex128


@frozen(eq=False)
class Pair:
    """Complex numbers.

    Attributes
    ----------
    real, imag : Tensor
        Of one shape.
    """

    real: Tensor
    imag: Tensor

    dtype: ClassVar[Any] = complex64

    @property
    def shape(self) -> torch.Size:
        """Shape of the numbers."""
        return self.real.shape

    def __getitem__(self, index: Any) -> "Pair":
        """Select numbers."""
        return Pair(self.real[index], self.imag[index])

    def __add__(self, other: "Pair") -> "Pair":
        """Add complex numbers."""
        return Pair(self.real + other.real, self.imag + other.imag)

    def __sub__(self, other: "Pair") -> "Pair":
        """Subtract complex numbers."""
        return Pair(self.real - other.real, self.imag - other.imag)

    def __mul__(self, other: "Pair | Tensor | float") -> "Pair":
        """Multiply by complex or real numbers."""
        if not isinstance(other, Pair):
            return Pair(self.real * other, self.imag * other)
        return Pair(
            self.real * other.real - self.imag * other.imag,
            self.real * other.imag + self.imag * other.real,
        )

    __rmul__ = __mul__

    def __truediv__(self, other: "Pair") -> "Pair":
        """Divide by complex numbers."""
        power = other.real * other.real + other.imag * other.imag
        return self * Pair(other.real / power, -other.imag / power)


Array = Any  # a `Pair`, or a real tensor


def __getattr__(name: str) -> Any:
    # Functions of real tensors alone.
    if name in {"argmax", "log", "matmul", "sqrt", "where"}:
        return getattr(torch, name)
    msg = f"the namespace of pairs has no {name!r}"
    raise AttributeError(msg)


def asarray(values: Any, *, dtype: Any = None) -> Tensor:
    """Return real numbers of NumPy as a tensor."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(dtype)


def isdtype(dtype: Any, kind: str) -> bool:
    """Return whether a dtype is complex; no other kind is asked for."""
    if kind != "complex floating":
        msg = f"isdtype: 'complex floating' expected, found {kind!r}"
        raise ValueError(msg)
    return dtype in (complex64, complex128)


def complex(real: Tensor, imag: Tensor) -> Pair:  # noqa: A001 - the name in PyTorch
    """Make complex numbers of their parts."""
    return Pair(real, imag)


def real(x: Array) -> Tensor:
    """Return the real part."""
    return x.real if isinstance(x, Pair) else x


def imag(x: Pair) -> Tensor:
    """Return the imaginary part."""
    return x.imag


def conj(x: Pair) -> Pair:
    """Return the complex conjugate."""
    return Pair(x.real, -x.imag)


def abs(x: Array) -> Tensor:  # noqa: A001 - the name of the standard, as those below
    """Return the modulus."""
    if isinstance(x, Pair):
        return (x.real * x.real + x.imag * x.imag).sqrt()
    return x.abs()


def astype(x: Array, dtype: Any) -> Array:
    """Convert real numbers; those that become complex have no imaginary part."""
    if isinstance(x, Pair):
        return x
    if dtype in (complex64, complex128):
        return Pair(x, torch.zeros_like(x))
    return x.to(dtype)


def _each(function: Any) -> Any:
    """Let a function of a tensor also take a pair."""

    def both(x: Array, *arguments: Any, **named: Any) -> Array:
        if isinstance(x, Pair):
            parts = (function(part, *arguments, **named) for part in (x.real, x.imag))
            return Pair(*parts)
        return function(x, *arguments, **named)

    return both


expand_dims = _each(lambda x, *, axis: x.unsqueeze(axis))
reshape = _each(lambda x, shape: x.reshape(shape))
roll = _each(lambda x, shift, *, axis: torch.roll(x, shift, axis))
take = _each(lambda x, indices, *, axis: torch.index_select(x, axis, indices))
matrix_transpose = _each(lambda x: x.transpose(-2, -1))
ones_like = _each(torch.ones_like)  # of real numbers
zeros_like = _each(torch.zeros_like)


def _sum(x: Tensor, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    return x.sum() if axis is None else x.sum(dim=axis, keepdim=keepdims)


sum = _each(_sum)  # noqa: A001


def max(x: Tensor) -> Tensor:  # noqa: A001
    """Return the largest of all values."""
    return x.max()


def clip(x: Tensor, *, min: float) -> Tensor:  # noqa: A002
    """Limit values from below."""
    return x.clamp(min=min)


def stack(arrays: Any) -> Tensor:
    """Stack real tensors along a new first axis."""
    return torch.stack(list(arrays))


def _transform(sign: int) -> Any:
    """Return the unitary Fourier transform of square images, forwards for a sign of -1."""

    def function(x: Pair, *, axes: tuple[int, int], norm: str) -> Pair:
        if tuple(axes) != (-2, -1) or norm != "ortho":
            msg = f"fft: axes=(-2, -1) and norm='ortho' expected, found {axes} and {norm!r}"
            raise ValueError(msg)
        size = int(x.shape[-1])
        angle = 2 * np.pi / size * (np.outer(np.arange(size), np.arange(size)) % size)
        cosine, sine = (
            torch.from_numpy(part / np.sqrt(size)).to(x.real.dtype)
            for part in (np.cos(angle), sign * np.sin(angle))
        )
        rows = Pair(cosine @ x.real - sine @ x.imag, cosine @ x.imag + sine @ x.real)
        return Pair(
            rows.real @ cosine - rows.imag @ sine,  # the matrix is symmetric
            rows.imag @ cosine + rows.real @ sine,
        )

    return function


fft = SimpleNamespace(
    fftn=_transform(-1),
    ifftn=_transform(1),
    ifftshift=lambda x, *, axes: torch.fft.ifftshift(x, dim=axes),
)
