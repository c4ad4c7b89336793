"""Stacks of patterns that are added up by place, or watched as they are written."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data._domain import Domain
from ptycho_data._patterns import require_countable
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

    @property
    def without_value(self) -> NDArray[np.bool_]:
        """Pixels (N, N) without a value in some pattern that was read."""
        return _without_value(self.stack)

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


def _without_value(stack: LazyStack) -> NDArray[np.bool_]:
    found = getattr(stack.source, "without_value", None)
    return np.zeros(stack.shape[1:], bool) if found is None else found


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
    dtype
        Type that they get: a narrow one takes less space. By default their own.
    """

    def __init__(
        self,
        stack: LazyStack,
        domain: Domain,
        progress: Callable[[int], None] | None = None,
        *,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        self.stack, self.domain, self.progress = stack, domain, progress
        self.shape = stack.shape
        self.dtype: np.dtype[Any] = dtype or stack.dtype
        self.block_rows: int = stack.source.block_rows
        self.totals = np.zeros(len(stack))
        #: Largest value of all.
        self.highest = 0.0

    @property
    def without_value(self) -> NDArray[np.bool_]:
        """Pixels (N, N) without a value in some pattern that was read."""
        return _without_value(self.stack)

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read patterns, and add them to what is known of all.

        Raises
        ------
        OverflowError
            A value is too large for a narrow type.
        """
        read = self.stack[rows]
        require_countable(read)
        if len(rows):
            highest = read.max()
            self.highest = max(self.highest, float(highest))
            if self.dtype != self.stack.dtype:
                read = self._narrow(read, int(highest))
        self.totals[rows] = self._sums(read)
        if self.progress is not None and len(rows):
            self.progress(int(rows[-1]) + 1)
        return read

    def _narrow(self, read: NDArray[Any], highest: int) -> NDArray[Any]:
        """Make patterns narrow; the largest value of a type is left for pixels without one."""
        if highest >= np.iinfo(self.dtype).max:
            raise OverflowError(f"{highest} in {self.dtype}")
        return read.astype(self.dtype)

    def _sums(self, read: NDArray[Any]) -> NDArray[Any]:
        """Return counts of patterns; of amplitudes, sums of squares."""
        values = read.reshape(len(read), -1)
        if self.domain == "amplitude":
            return np.asarray((values.astype(np.float64) ** 2).sum(axis=1))
        kind = np.uint64 if values.dtype.kind == "u" else np.float64
        return np.asarray(values.sum(axis=1, dtype=kind))
