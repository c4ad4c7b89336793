"""Pixels without a value: detectors fill them with the largest value of a number type."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data._measure import StackStatistics
from ptycho_data._stack import Stack, chunk_rows

__all__ = ["constant_negative", "filled"]

_LARGEST = tuple(
    int(np.iinfo(dtype).max)
    for dtype in (np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
)
#: Values of which a pixel has no other in at least this share of the patterns are no counts.
_SHARE = 0.5
#: No counter reaches the largest value of a type of so many bytes.
_WIDE = 4
#: Noise does not repeat itself in so many patterns.
_PATTERNS = 8


def _fill_values(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the largest values of the integer types, as far as this type holds them."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            values = np.array(_LARGEST, np.float64).astype(dtype)
        return np.unique(values[np.isfinite(values)])
    own = int(np.iinfo(dtype).max)
    return np.array(sorted({own, *(value for value in _LARGEST if value < own)}), dtype)


def filled(
    stack: Stack, statistics: StackStatistics, bad_pixels: NDArray[np.bool_] | None
) -> tuple[NDArray[np.bool_], list[str]]:
    """Find pixels that hold the largest value of a number type in place of a count.

    That is what detectors write into gaps between modules and dead pixels: 2**32 - 1 in 32 bits,
    which one pattern is enough to tell; of smaller types, which light can reach, half of the
    patterns must have it in the same pixel.

    Parameters
    ----------
    stack : (n, N, N)
        Patterns.
    statistics
        Of the stack.
    bad_pixels : (N, N) bool, optional
        Pixels that are known to be bad.

    Returns
    -------
    bad : (N, N) bool
        Pixels that were found; not those known before.
    found : list of str
        What was found, one line for each value.
    """
    highest = statistics.highest
    good = np.ones(highest.shape, bool) if bad_pixels is None else ~bad_pixels
    bad = np.zeros(highest.shape, bool)
    found: list[str] = []
    for value in _fill_values(stack.dtype):
        places = good & (highest == value)
        if not places.any():
            continue
        own = stack.dtype.kind in "iu" and value == np.iinfo(stack.dtype).max
        if not (own and stack.dtype.itemsize >= _WIDE):
            some = places & (statistics.lowest != value)
            if some.any():
                places[some] = _times(stack, some, value) >= _SHARE * len(stack)
        if places.any():
            bad |= places
            what = f"the largest value of {stack.dtype}" if own else "that of a smaller number type"
            found.append(f"{int(places.sum())} pixels hold {value.item():.15g}, {what}")
    return bad, found


def _times(stack: Stack, places: NDArray[np.bool_], value: Any) -> NDArray[np.int64]:
    """Count the patterns in which pixels hold a value."""
    times = np.zeros(int(places.sum()), np.int64)
    for rows in chunk_rows(stack):
        times += (stack[rows][:, places] == value).sum(axis=0)
    return times


def constant_negative(statistics: StackStatistics, n: int) -> NDArray[np.bool_]:
    """Find pixels (N, N) with one value below zero in all n patterns: -1 in gaps, no noise."""
    found: NDArray[np.bool_] = (statistics.highest < 0) & (statistics.lowest == statistics.highest)
    return found if n >= _PATTERNS else np.zeros_like(found)
