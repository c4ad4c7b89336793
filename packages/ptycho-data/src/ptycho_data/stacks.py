"""Stacks of patterns in pieces: what must be known of all of them, never all in memory."""

import mmap
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ptycho_data.lazy import Stack

BLOCK_BYTES = 4 << 20
"""Stacks are walked through in blocks of about this size."""
#: Blocks of stacks whose patterns come last: shorter reads would fetch every page many times.
_STRIDED_BLOCK_BYTES = 64 << 20


@frozen(kw_only=True, eq=False)
class StackStatistics:
    """One pass over a stack.

    Attributes
    ----------
    minimum, maximum
        Over all pixels that are not masked (NaN ignored).
    totals : ndarray, (n,) float64
        Sum of each pattern; not finite where a pixel is not finite.
    square_totals : ndarray, (n,) float64, or None
        Sum of squares of each pattern, if asked for.
    crc
        CRC-32 of the bytes in storage order, if asked for.
    """

    minimum: float
    maximum: float
    totals: NDArray[np.float64]
    square_totals: NDArray[np.float64] | None
    crc: int | None


def chunk_rows(array: "Stack") -> Iterator[slice]:
    """Yield slices of the first axis that together cover it, some megabytes each.

    Mapped pages are given back between the pieces, so resident memory stays flat.
    """
    if not isinstance(array, np.ndarray):
        yield from array.blocks()
        return
    rows = array.shape[0]
    target = BLOCK_BYTES if is_patterns_first(array) else _STRIDED_BLOCK_BYTES
    step = max(1, target * rows // max(1, array.nbytes))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
        release(array)


def is_patterns_first(array: NDArray[Any]) -> bool:
    """Tell whether the first axis is the slowest in memory, so that a pattern lies together."""
    return array.ndim == 0 or abs(array.strides[0]) == max(map(abs, array.strides))


def measure(
    stack: "Stack",
    *,
    bad_pixels: NDArray[np.bool_] | None = None,
    squares: bool = False,
    crc: int | None = None,
) -> StackStatistics:
    """Measure a stack of patterns piece by piece, in the order of its bytes.

    Parameters
    ----------
    stack : ndarray, memmap or LazyStack, (n, N, N)
        Real numbers, any memory order (a transposed view is followed in storage order, so a
        mapped file is read once from front to back).
    bad_pixels : ndarray, (N, N) bool, optional
        Pixels that count as zero.
    squares
        Also sum the squares.
    crc
        CRC-32 to continue over the bytes; None to leave it out.

    Returns
    -------
    StackStatistics
        Extremes and sums in float64.
    """
    order, stored = _in_storage_order(stack)
    mask = None if bad_pixels is None else np.broadcast_to(bad_pixels, stack.shape).transpose(order)
    pixel_axes = tuple(axis for axis, source in enumerate(order) if source != 0)
    totals, square_totals = np.zeros(len(stack)), np.zeros(len(stack))
    minimum, maximum = np.inf, -np.inf
    for rows in chunk_rows(stored):
        chunk = stored[rows]
        if crc is not None:
            crc = _crc(chunk, crc)
        values = chunk if mask is None else np.where(mask[rows], 0, chunk)
        patterns = rows if order[0] == 0 else slice(None)
        with np.errstate(invalid="ignore", over="ignore"):
            totals[patterns] += values.sum(axis=pixel_axes, dtype=np.float64)
            if squares:
                wide = values.astype(np.float64)  # small integers would overflow when squared
                square_totals[patterns] += (wide * wide).sum(axis=pixel_axes)
            minimum = float(np.fmin(minimum, np.fmin.reduce(values, axis=None)))
            maximum = float(np.fmax(maximum, np.fmax.reduce(values, axis=None)))
    return StackStatistics(
        minimum=minimum,
        maximum=maximum,
        totals=totals,
        square_totals=square_totals if squares else None,
        crc=crc,
    )


def all_finite(stack: "Stack", crc: int | None = None) -> tuple[bool, int | None]:
    """Tell whether a stack of any dtype is finite, piece by piece.

    Parameters
    ----------
    stack : ndarray, memmap or LazyStack
        Any shape with at least one axis.
    crc
        CRC-32 to continue over the bytes in storage order; None to leave it out.

    Returns
    -------
    finite : bool
        Whether there is neither NaN nor infinity.
    crc : int or None
        The continued CRC-32.
    """
    _, stored = _in_storage_order(stack)
    finite = True
    for rows in chunk_rows(stored):
        chunk = stored[rows]
        if crc is not None:
            crc = _crc(chunk, crc)
        finite = finite and bool(np.isfinite(chunk).all())
    return finite, crc


def release(array: object) -> None:
    """Give the resident pages of a read-only memory map back to the system.

    They stay in the page cache, so reading them again is cheap; but they no longer count as
    memory of this process. Nothing happens for other arrays and on systems without ``madvise``.
    """
    base: object = array
    read_only = False
    while isinstance(base, np.ndarray):
        # Pages of a copy-on-write map may hold changes, which must not be dropped.
        read_only = read_only or (isinstance(base, np.memmap) and base.mode == "r")
        base = base.base
    if read_only and isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def _in_storage_order(stack: "Stack") -> tuple[tuple[int, ...], "Stack"]:
    """Return the axes from the slowest to the fastest varying, and the stack turned that way."""
    if not isinstance(stack, np.ndarray):
        return tuple(range(stack.ndim)), stack
    order = tuple(sorted(range(stack.ndim), key=lambda axis: -abs(stack.strides[axis])))
    return order, stack.transpose(order)


def _crc(chunk: NDArray[Any], crc: int) -> int:
    return zlib.crc32(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data, crc)
