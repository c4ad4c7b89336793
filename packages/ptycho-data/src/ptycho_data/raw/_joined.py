"""Several stacks of frames, one after the other, as one."""

from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data._stack import LazyStack, Stack, source_of

__all__ = ["joined"]


class JoinedSource:
    """Frames of several stacks, in their order.

    Parameters
    ----------
    stacks : list of (n, H, W)
        At least one, of the same H and W.
    """

    def __init__(self, stacks: list[Stack]) -> None:
        self.stacks = [s if isinstance(s, LazyStack) else LazyStack(source_of(s)) for s in stacks]
        self.ends = list(accumulate(map(len, self.stacks)))
        self.dtype: np.dtype[Any] = np.result_type(*(stack.dtype for stack in self.stacks))
        self.shape: tuple[int, ...] = (self.ends[-1], *self.stacks[0].shape[1:])
        self.block_rows: int = max(stack.source.block_rows for stack in self.stacks)

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the frames of these rows."""
        return self.take_part(rows, (slice(None), slice(None)))

    def take_part(self, rows: NDArray[np.int64], part: tuple[slice, slice]) -> NDArray[Any]:
        """Read some rows and columns of frames."""
        extents = (len(range(*one.indices(k))) for one, k in zip(part, self.shape[1:], strict=True))
        out = np.empty((len(rows), *extents), self.dtype)
        which = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(which):
            wanted = which == number
            start = self.ends[number - 1] if number else 0
            out[wanted] = self.stacks[number].window(rows[wanted] - start, part)
        return out


def joined(stacks: list[Stack]) -> Stack:
    """Return stacks of equal frames as one, read when it is indexed."""
    return stacks[0] if len(stacks) == 1 else LazyStack(JoinedSource(stacks))
