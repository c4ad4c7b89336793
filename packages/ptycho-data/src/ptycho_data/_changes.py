"""Patterns that are changed as they are read: centred, transposed, without their dark level."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data._mapped import is_mapped
from ptycho_data._stack import LazyStack, Stack, source_of

__all__ = ["CentredSource", "ChangedSource", "changed"]


class ChangedSource:
    """Patterns that are changed as they are read.

    Parameters
    ----------
    stack
        The patterns as they are stored.
    change
        Function of patterns (k, H, W) that returns them changed, one by one: of what is read
        together it must not depend. It must be picklable.
    """

    def __init__(self, stack: Stack, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self.stack = stack if isinstance(stack, LazyStack) else LazyStack(source_of(stack))
        self.change = change
        changed = change(np.zeros((1, *stack.shape[1:]), stack.dtype))
        self.shape: tuple[int, ...] = (len(stack), *changed.shape[1:])
        self.dtype: np.dtype[Any] = changed.dtype
        self.block_rows: int = self.stack.source.block_rows

    @property
    def cost(self) -> int:
        """Bytes to decompress for one pattern somewhere in the stack."""
        return int(getattr(self.stack.source, "cost", 0))

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the patterns of these rows and change them."""
        return self.change(self.stack[rows])


class CentredSource(ChangedSource):
    """Patterns with zero frequency moved from the corner to ``[N//2, N//2]``, as they are read."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack, _centred)


def _centred(patterns: NDArray[Any]) -> NDArray[Any]:
    return np.fft.fftshift(patterns, axes=(-2, -1))


def changed(stack: Stack, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Stack:
    """Return the stack with every pattern changed; on disk it stays there.

    Parameters
    ----------
    stack : (n, H, W)
        Patterns.
    change
        As for `ChangedSource`.

    Returns
    -------
    ndarray or LazyStack
        Changed already if the patterns are in memory, otherwise as they are read.
    """
    if isinstance(stack, np.ndarray) and not is_mapped(stack):
        return change(stack)
    return LazyStack(ChangedSource(stack, change))
