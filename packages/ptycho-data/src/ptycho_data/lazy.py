"""Patterns that stay on disk until they are asked for.

A `LazyStack` looks like an array of shape (n, H, W) to those who ask for a few patterns at a time;
only these are read. It crosses process borders as the name of its file, so workers of a data
loader read for themselves.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ptycho_data.errors import WHOLE_FILE, ScanFormatError
from ptycho_data.stacks import BLOCK_BYTES, release

__all__ = [
    "CentredSource",
    "LazyStack",
    "MapReference",
    "MappedSource",
    "MemorySource",
    "Stack",
    "StackSource",
    "Stamp",
    "is_mapped",
    "map_of",
    "portable",
    "some_of",
]


class StackSource(Protocol):
    """Where the patterns of a `LazyStack` come from."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, H, W) of all patterns there."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored values."""
        ...

    @property
    def block_rows(self) -> int:
        """How many consecutive patterns are best read together."""
        ...

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the patterns of these rows, in this order, into memory of their own."""
        ...


class LazyStack:
    """Some patterns of a file, read when they are indexed.

    Parameters
    ----------
    source
        Reads patterns.
    rows : (n,) int64 array, optional
        Patterns of the source that make up this stack, in this order; all by default.
    """

    ndim = 3

    def __init__(self, source: StackSource, rows: NDArray[np.int64] | None = None) -> None:
        self.source = source
        self._rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents (n, H, W)."""
        return (len(self), *self.source.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values."""
        return self.source.dtype

    @property
    def nbytes(self) -> int:
        """Bytes that all patterns would take in memory."""
        return int(np.prod([*map(int, self.shape), self.dtype.itemsize], dtype=object))

    def __len__(self) -> int:
        """Return the number of patterns."""
        return int(self.source.shape[0]) if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        """Return shape and type; nothing is read."""
        return f"LazyStack({self.shape}, {self.dtype})"

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read patterns; what follows the first index applies to each pattern."""
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(first, int | np.integer):
            place, rest = np.array([first]), (0, *rest)
        else:
            place, rest = first, ((slice(None), *rest) if rest else ())
        read: NDArray[Any] = self.source.take(self._resolve(place))[rest]
        return read

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all patterns into memory (for comparisons; mind the size)."""
        if copy is False:
            raise ValueError("patterns on disk cannot become an array without a copy")
        values = self[:]
        return values if dtype is None else values.astype(dtype, copy=False)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Read pattern by pattern."""
        return (self[index] for index in range(len(self)))

    def astype(self, dtype: DTypeLike, *, copy: bool = True) -> NDArray[Any]:
        """Read all patterns into memory, in another type."""
        return self[:].astype(dtype, copy=copy)

    def select(self, index: ArrayLike | slice) -> "LazyStack":
        """Return the stack of some patterns, still on disk."""
        return LazyStack(self.source, self._resolve(index))

    def blocks(self) -> Iterator[slice]:
        """Yield slices that cover all patterns, each best read at once."""
        step = max(1, self.source.block_rows)
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    def _resolve(self, index: ArrayLike | slice) -> NDArray[np.int64]:
        """Turn an index into rows of the source."""
        n = len(self)
        if isinstance(index, slice):
            wanted = np.arange(*index.indices(n))
        else:
            wanted = np.asarray(index)
            if wanted.dtype == np.bool_ and wanted.shape == (n,):
                wanted = np.flatnonzero(wanted)
            if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
                raise IndexError(f"expected a list of whole numbers, found {wanted.dtype} "
                                 f"{wanted.shape}")  # fmt: skip
            wanted = wanted.astype(np.int64)
            outside = (wanted < -n) | (wanted >= n)
            if outside.any():
                raise IndexError(f"pattern {wanted[outside][0]} of {n}")
            wanted = np.where(wanted < 0, wanted + n, wanted)
        return wanted if self._rows is None else self._rows[wanted]


Stack = NDArray[Any] | LazyStack
"""Patterns (n, H, W), in memory, mapped, or read when asked for."""


@frozen(kw_only=True)
class Stamp:
    """What tells whether a file is still the one that was checked."""

    path: Path
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Take the stamp of a file."""
        found = path.stat()
        return cls(path=path, size=found.st_size, changed_ns=found.st_mtime_ns)

    def check(self) -> None:
        """Refuse to go on with another file than the one that was checked.

        Raises
        ------
        ScanFormatError
            The file is gone, or changed since.
        """
        try:
            same = Stamp.of(self.path) == self
        except OSError:
            same = False
        if not same:
            found = "a file that changed or went away in the meantime"
            raise ScanFormatError.of(self.path, WHOLE_FILE, found, "the file as it was read")


@frozen(kw_only=True)
class MapReference:
    """A memory-mapped array, by the place of its bytes in a file."""

    stamp: Stamp
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def open(self) -> NDArray[Any]:
        """Map the array again, read-only."""
        self.stamp.check()
        content = np.memmap(self.stamp.path, np.uint8, mode="r")
        return np.ndarray(self.shape, self.dtype, content, self.offset, self.strides)


def _base_map(array: NDArray[Any]) -> np.memmap[Any, Any] | None:
    """Return the read-only map an array looks into, if it does."""
    base: object = array
    found: np.memmap[Any, Any] | None = None
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "r" and base.filename is not None:
            found = base
        base = base.base
    return found


def is_mapped(array: object) -> TypeGuard[NDArray[Any]]:
    """Tell whether an array looks into a read-only memory map."""
    return isinstance(array, np.ndarray) and _base_map(array) is not None


def map_of(array: NDArray[Any]) -> MapReference | None:
    """Describe a mapped array so that it can be mapped again; None for any other array."""
    whole = _base_map(array)
    if whole is None or whole.filename is None:
        return None
    start = array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return MapReference(
        stamp=Stamp.of(Path(whole.filename)),
        dtype=array.dtype,
        offset=int(whole.offset) + start,
        shape=array.shape,
        strides=array.strides,
    )


def portable(stack: Stack | None) -> Stack | MapReference | None:
    """Return what stands for a stack in another process: a mapped one by its place in the file."""
    if stack is None or isinstance(stack, LazyStack):
        return stack
    return map_of(stack) or stack


class MemorySource:
    """Patterns in memory, for those who handle all stacks alike."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.block_rows = max(1, BLOCK_BYTES * len(array) // max(1, array.nbytes))

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Copy the patterns of these rows."""
        return np.asarray(self.array[rows])


class MappedSource(MemorySource):
    """Patterns in a read-only memory map; pages are given back after each reading."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the patterns of these rows."""
        read = super().take(rows)
        release(self.array)
        return read

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross process borders as the name of the file."""
        return _mapped_again, (map_of(self.array),)


def some_of(stack: Stack, rows: NDArray[np.int64] | slice) -> Stack:
    """Return some patterns of a stack, on disk if they were there."""
    if isinstance(stack, LazyStack):
        return stack.select(rows)
    if is_mapped(stack) and not isinstance(rows, slice):
        return LazyStack(MappedSource(stack)).select(rows)
    return stack[rows]


class CentredSource:
    """Patterns with zero frequency moved from the corner to ``[N//2, N//2]``, as they are read."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack if isinstance(stack, LazyStack) else LazyStack(_source_of(stack))
        self.shape: tuple[int, ...] = stack.shape
        self.dtype: np.dtype[Any] = stack.dtype
        self.block_rows: int = self.stack.source.block_rows

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the patterns of these rows and shift them."""
        return np.fft.fftshift(self.stack[rows], axes=(-2, -1))


def _source_of(array: NDArray[Any]) -> StackSource:
    return MappedSource(array) if is_mapped(array) else MemorySource(array)


def _mapped_again(reference: MapReference) -> MappedSource:
    return MappedSource(reference.open())
