"""Extremes, sums and checksum of a stack of patterns, in one pass of flat memory."""

import zlib
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_data._stack import Stack, chunk_rows, read_patterns

__all__ = ["DAMAGED", "Checksum", "StackStatistics", "all_finite", "measure"]

DAMAGED = ("an undamaged array", "bytes that differ from the archive's CRC-32")
"""Rule and received value of a stack whose checksum is another."""


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
    lowest, highest : ndarray, (N, N)
        Extremes of each pixel, in the stored type, masked or not (NaN ignored).
    whole
        Whether all pixels that are not masked are whole numbers, if asked for; otherwise False.
    """

    minimum: float
    maximum: float
    totals: NDArray[np.float64]
    square_totals: NDArray[np.float64] | None
    crc: int | None
    lowest: NDArray[Any]
    highest: NDArray[Any]
    whole: bool


@frozen(kw_only=True)
class Checksum:
    """Where the CRC-32 of a mapped array starts and what it must become."""

    start: int
    target: int


def measure(
    stack: Stack,
    *,
    bad_pixels: NDArray[np.bool_] | None = None,
    squares: bool = False,
    whole: bool = False,
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
    whole
        Also tell whether all values are whole numbers.
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
    patterns_axis = order.index(0)
    pixel_shape = tuple(stored.shape[axis] for axis in pixel_axes)
    totals, square_totals = np.zeros(len(stack)), np.zeros(len(stack))
    lowest, highest = np.empty(pixel_shape, stack.dtype), np.empty(pixel_shape, stack.dtype)
    started = False
    for rows in chunk_rows(stored):
        chunk = read_patterns(stored, rows)
        if crc is not None:
            crc = _crc(chunk, crc)
        values = chunk if mask is None else np.where(mask[rows], 0, chunk)
        patterns = rows if patterns_axis == 0 else slice(None)
        with np.errstate(invalid="ignore", over="ignore"):
            totals[patterns] += values.sum(axis=pixel_axes, dtype=np.float64)
            if squares:
                wide = values.astype(np.float64)  # small integers would overflow when squared
                square_totals[patterns] += (wide * wide).sum(axis=pixel_axes)
            low = np.fmin.reduce(chunk, axis=patterns_axis)
            high = np.fmax.reduce(chunk, axis=patterns_axis)
            whole = whole and bool((values == np.rint(values)).all())
        place = slice(None) if patterns_axis == 0 else rows
        if patterns_axis == 0 and started:
            np.fmin(lowest, low, out=low)
            np.fmax(highest, high, out=high)
        lowest[place], highest[place], started = low, high, True
    if [order[axis] for axis in pixel_axes] != [1, 2]:
        lowest, highest = lowest.T, highest.T
    good_lowest = lowest if bad_pixels is None else np.where(bad_pixels, 0, lowest)
    good_highest = highest if bad_pixels is None else np.where(bad_pixels, 0, highest)
    return StackStatistics(
        minimum=float(np.fmin.reduce(good_lowest, axis=None)),
        maximum=float(np.fmax.reduce(good_highest, axis=None)),
        totals=totals,
        square_totals=square_totals if squares else None,
        crc=crc,
        lowest=lowest,
        highest=highest,
        whole=whole,
    )


def all_finite(stack: Stack, crc: int | None = None) -> tuple[bool, int | None]:
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
        chunk = read_patterns(stored, rows)
        if crc is not None:
            crc = _crc(chunk, crc)
        finite = finite and bool(np.isfinite(chunk).all())
    return finite, crc


def _in_storage_order(stack: Stack) -> tuple[tuple[int, ...], Stack]:
    """Return the axes from the slowest to the fastest varying, and the stack turned that way."""
    if not isinstance(stack, np.ndarray):
        return tuple(range(stack.ndim)), stack
    order = tuple(sorted(range(stack.ndim), key=lambda axis: -abs(stack.strides[axis])))
    return order, stack.transpose(order)


def _crc(chunk: NDArray[Any], crc: int) -> int:
    return zlib.crc32(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data, crc)
