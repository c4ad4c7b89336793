"""Stacks of patterns that are added up by place, or watched as they are written."""

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
    dtype
        Type that they get: a narrow one takes less space. By default their own.
    """

    def __init__(
        self,
        stack: LazyStack,
        domain: Domain,
        *,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        self.stack, self.domain = stack, domain
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
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        done = 0
        for piece in self.stack.pieces(rows):
            require_countable(piece)
            here = slice(done, done + len(piece))
            done = here.stop
            highest = piece.max()
            if self.dtype != piece.dtype and int(highest) >= np.iinfo(self.dtype).max:
                raise OverflowError(f"{highest} in {self.dtype}")  # which stands for no value
            out[here] = piece
            self.highest = max(self.highest, float(highest))
            self.totals[rows[here]] = self._sums(piece, float(highest))
        return out

    def _sums(self, piece: NDArray[Any], highest: float) -> NDArray[Any]:
        """Return counts of patterns; of amplitudes, sums of squares."""
        values = piece.reshape(len(piece), -1)
        if self.domain == "amplitude":
            return np.asarray((values.astype(np.float64) ** 2).sum(axis=1))
        if values.dtype.kind != "u":
            return np.asarray(values.sum(axis=1, dtype=np.float64))
        # in their own type where the sums fit: no copy is made
        fits = highest * values.shape[1] < np.iinfo(values.dtype).max
        return np.asarray(values.sum(axis=1, dtype=values.dtype if fits else np.uint64))
