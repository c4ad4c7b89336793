"""Stacks of patterns, in memory or on disk, read a few patterns at a time.

A `LazyStack` behaves like an array of shape (n, H, W), but reads only the patterns that are
indexed. It is pickled as the name of its file, so worker processes of a data loader open the file
themselves.
"""

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data._mapped import MapReference, is_mapped, map_of, read_rows

__all__ = [
    "LazyStack",
    "MappedSource",
    "MemorySource",
    "Stack",
    "StackSource",
    "as_index",
    "as_slice",
    "portable",
    "rows_of",
    "some_of",
    "source_of",
]

_Scalar = TypeVar("_Scalar", bound=np.generic)


def rows_of(
    array: NDArray[_Scalar] | None, chosen: NDArray[np.int64] | slice
) -> NDArray[_Scalar] | None:
    """Return some rows of an array that need not be there."""
    return None if array is None else array[chosen]


def as_index(indices: ArrayLike | slice) -> NDArray[np.int64] | slice:
    """Return indices as integers, a slice as it is.

    Raises
    ------
    InvalidValueError
        If they are not a list of integers.
    """
    if isinstance(indices, slice):
        return indices
    index = np.atleast_1d(np.asarray(indices))
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise InvalidValueError("indices", "a list of integers", f"{index.dtype} {index.shape}")
    return index.astype(np.int64)


def as_slice(index: NDArray[np.int64] | slice, n: int) -> NDArray[np.int64] | slice:
    """Turn evenly spaced indices into a slice, which views a memory map instead of copying."""
    if isinstance(index, slice) or len(index) < 2 or index[0] < 0 or index[-1] >= n:
        return index
    step = int(index[1] - index[0])
    even = step > 0 and bool(np.all(np.diff(index) == step))
    return slice(int(index[0]), int(index[-1]) + 1, step) if even else index


BLOCK_BYTES = 4 << 20
"""Stacks are walked through in blocks of about this size."""
#: Blocks of stacks whose patterns come last: shorter reads would fetch every page many times.
_STRIDED_BLOCK_BYTES = 64 << 20


def chunk_rows(array: "Stack") -> Iterator[slice]:
    """Yield slices of the first axis that together cover it, some megabytes each."""
    if not isinstance(array, np.ndarray):
        yield from array.blocks()
        return
    rows = array.shape[0]
    target = BLOCK_BYTES if is_patterns_first(array) else _STRIDED_BLOCK_BYTES
    step = max(1, target * rows // max(1, array.nbytes))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def read_patterns(
    stack: "Stack", rows: NDArray[np.int64] | slice | int, dtype: DTypeLike | None = None
) -> NDArray[Any]:
    """Copy patterns into memory, those of a map from its file: see `read_rows`.

    Parameters
    ----------
    stack : ndarray, memmap or LazyStack, (n, H, W)
        Patterns.
    rows
        Index of one pattern, indices of several, or a slice.
    dtype
        Of the copy; the stored one by default.

    Returns
    -------
    ndarray, (H, W) or (k, H, W)
        In memory of their own.

    Raises
    ------
    ScanFormatError
        The file that holds them is not as it was when it was opened.
    """
    read = read_rows(stack, rows) if isinstance(stack, np.ndarray) else stack[rows]
    return read if dtype is None else read.astype(dtype, copy=False)


def is_patterns_first(array: NDArray[Any]) -> bool:
    """Tell whether the first axis is the slowest in memory, so that a pattern lies together."""
    return array.ndim == 0 or abs(array.strides[0]) == max(map(abs, array.strides))


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

    def window(self, index: ArrayLike | slice, part: tuple[slice, slice]) -> NDArray[Any]:
        """Read some rows and columns of patterns.

        Parameters
        ----------
        index
            Patterns, as in indexing.
        part
            Their rows and columns. Where a source has ``take_part``, nothing else is copied.

        Returns
        -------
        ndarray, (k, h, w)
            In memory of its own.
        """
        rows = self._resolve(index)
        take_part = getattr(self.source, "take_part", None)
        return self.source.take(rows)[:, *part] if take_part is None else take_part(rows, part)

    def pieces(self, index: ArrayLike | slice) -> Iterator[NDArray[Any]]:
        """Read patterns, and yield them a few at a time.

        Parameters
        ----------
        index
            Patterns, as in indexing.

        Yields
        ------
        ndarray, (k, H, W)
            The next patterns; in memory of their own. Where a source has ``pieces``, they are made
            while they are in the cache of the processor.
        """
        rows = self._resolve(index)
        pieces = getattr(self.source, "pieces", None)
        yield from (self.source.take(rows),) if pieces is None else pieces(rows)

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
                raise IndexError(f"indices must be a list of integers, got {wanted.dtype} "
                                 f"{wanted.shape}")  # fmt: skip
            wanted = wanted.astype(np.int64)
            outside = (wanted < -n) | (wanted >= n)
            if outside.any():
                raise IndexError(f"pattern {wanted[outside][0]} of {n}")
            wanted = np.where(wanted < 0, wanted + n, wanted)
        return wanted if self._rows is None else self._rows[wanted]


Stack = NDArray[Any] | LazyStack
"""Patterns (n, H, W), in memory, mapped, or read when asked for."""


def portable(stack: Stack | None) -> Stack | MapReference | None:
    """Return a form of a stack that is cheap to pickle: a mapped one by its place in the file."""
    if stack is None or isinstance(stack, LazyStack):
        return stack
    return map_of(stack) or stack


class MemorySource:
    """Patterns in memory, with the interface of patterns on disk."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.block_rows = max(1, BLOCK_BYTES * len(array) // max(1, array.nbytes))

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Copy the patterns of these rows."""
        return np.asarray(self.array[rows])


class MappedSource(MemorySource):
    """Patterns in a read-only memory map, read from its file."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the patterns of these rows."""
        return read_rows(self.array, rows)

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


def source_of(array: NDArray[Any]) -> StackSource:
    """Return the source of the patterns of an array, in memory or mapped."""
    return MappedSource(array) if is_mapped(array) else MemorySource(array)


def _mapped_again(reference: MapReference) -> MappedSource:
    return MappedSource(reference.open())
