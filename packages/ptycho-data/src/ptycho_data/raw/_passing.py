"""Stacks of patterns that are added up by place, or watched as they are written."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data._domain import Domain
from ptycho_data._stack import LazyStack

__all__ = ["Watched", "added_by_place"]


class _AddedSource:
    """Sums of the patterns of each group, made as they are read."""

    def __init__(self, stack: LazyStack, groups: list[NDArray[np.int64]], domain: Domain) -> None:
        self.stack, self.groups, self.domain = stack, groups, domain
        whole = stack.dtype.kind in "iu" and domain == "counts"
        self.dtype: np.dtype[Any] = np.dtype(np.uint32 if whole else np.float32)
        self.shape: tuple[int, ...] = (len(groups), *stack.shape[1:])
        self.block_rows: int = max(1, stack.source.block_rows // max(map(len, groups)))

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the sums of these groups; of amplitudes, the roots of sums of squares."""
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for index, row in enumerate(rows):
            patterns = self.stack[self.groups[row]].astype(np.float64)
            if self.domain == "amplitude":
                out[index] = np.sqrt((patterns**2).sum(axis=0))
            else:
                out[index] = patterns.sum(axis=0)
        return out


def added_by_place(
    stack: LazyStack, labels: NDArray[np.int64], domain: Domain
) -> tuple[LazyStack, list[NDArray[np.int64]]]:
    """Add up the patterns of each place.

    Parameters
    ----------
    stack : (n, N, N)
        Patterns.
    labels : (n,) int64
        Place of each pattern, numbered from 0 without a gap.
    domain
        Counts or amplitudes.

    Returns
    -------
    stack : (k, N, N)
        One pattern for each place.
    groups : list of (m,) int64
        The patterns of each.
    """
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return LazyStack(_AddedSource(stack, groups, domain)), groups


class Watched:
    """Patterns that are measured as they are read once, from the first to the last.

    A source for a `LazyStack`.

    Parameters
    ----------
    stack : (n, N, N)
        Patterns.
    domain
        Counts or amplitudes.
    progress
        Called with the number of patterns read.
    """

    def __init__(
        self, stack: LazyStack, domain: Domain, progress: Callable[[int], None] | None = None
    ) -> None:
        self.stack, self.domain, self.progress = stack, domain, progress
        self.shape, self.dtype = stack.shape, stack.dtype
        self.block_rows: int = stack.source.block_rows
        self.totals = np.zeros(len(stack))
        self.highest: NDArray[Any] = np.zeros(stack.shape[1:], stack.dtype)

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read patterns, and add them to what is known of all."""
        read = self.stack[rows]
        if self.domain == "amplitude":
            wide = read.astype(np.float64)
            self.totals[rows] = (wide * wide).sum(axis=(1, 2))
        else:
            self.totals[rows] = read.sum(axis=(1, 2), dtype=np.float64)
        np.maximum(self.highest, read.max(axis=0), out=self.highest)
        if self.progress is not None and len(rows):
            self.progress(int(rows[-1]) + 1)
        return read

    @property
    def without_value(self) -> NDArray[np.bool_]:
        """Pixels (N, N) that held the largest value of a wide integer type in some pattern."""
        if self.dtype.kind not in "iu" or self.dtype.itemsize < 4:
            return np.zeros(self.highest.shape, bool)
        return np.asarray(self.highest == np.iinfo(self.dtype).max)
