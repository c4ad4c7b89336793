"""Which patterns are meant: lists of whole numbers, and slices where those are even."""

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["as_index", "as_slice", "rows_of"]


_Scalar = TypeVar("_Scalar", bound=np.generic)


def rows_of(
    array: NDArray[_Scalar] | None, chosen: NDArray[np.int64] | slice
) -> NDArray[_Scalar] | None:
    """Return some rows of an array that need not be there."""
    return None if array is None else array[chosen]


def as_index(indices: ArrayLike | slice) -> NDArray[np.int64] | slice:
    """Return indices as whole numbers, a slice as it is.

    Raises
    ------
    ValueError
        If they are no list of whole numbers.
    """
    if isinstance(indices, slice):
        return indices
    index = np.atleast_1d(np.asarray(indices))
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise ValueError(
            f"indices: expected a list of whole numbers, found {index.dtype} {index.shape}"
        )
    return index.astype(np.int64)


def as_slice(index: NDArray[np.int64] | slice, n: int) -> NDArray[np.int64] | slice:
    """Turn evenly spaced indices into a slice, which views a memory map instead of copying."""
    if isinstance(index, slice) or len(index) < 2 or index[0] < 0 or index[-1] >= n:
        return index
    step = int(index[1] - index[0])
    even = step > 0 and bool(np.all(np.diff(index) == step))
    return slice(int(index[0]), int(index[-1]) + 1, step) if even else index
