"""Doubts about where positions lie: rounded by their type, or outside of the object."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COARSE", "coarse_positions", "position_doubts", "spacing"]

#: Positions rounded by more than this, in pixels, are worth a warning: far below it, nobody sees
#: the difference; half of it is the largest error.
COARSE = 0.05
#: The object lies elsewhere if more positions than this fraction are outside of it. Of positions
#: that are counted from its middle, three quarters are.
_OUTSIDE = 0.5


def spacing(values: NDArray[Any]) -> float:
    """Return the distance of neighbouring numbers of the array's type at its largest value.

    Of float64 and integers it is 0: the former are fine enough for any position, the latter are
    exact.
    """
    if values.dtype.kind != "f" or values.dtype.itemsize >= 8 or not values.size:
        return 0.0
    largest = np.abs(values).max()
    return float(np.spacing(largest)) if np.isfinite(largest) else 0.0


def coarse_positions(pixels: float) -> str:
    """Return the warning for positions rounded to so many pixels."""
    return (
        f"positions are stored in a type that rounds them to {pixels:.2g} pixels, which blurs the "
        "object; write them as float64"
    )


def position_doubts(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return what is doubtful about positions in pixels and the object on their grid.

    Parameters
    ----------
    arrays
        Contract key to array, layouts and values already checked.

    Returns
    -------
    list of str
        Warnings, one line each.
    """
    x, y, object_ = arrays["xcoords"], arrays["ycoords"], arrays.get("objectGuess")
    doubts = []
    rounding = max(spacing(x), spacing(y))
    if rounding > COARSE:
        doubts.append(coarse_positions(rounding))
    if object_ is not None:
        height, width = object_.shape
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        outside = int(np.sum(~inside))
        if outside > _OUTSIDE * len(x):
            doubts.append(
                f"{outside} of {len(x)} positions lie outside of the object, which has x 0.."
                f"{width - 1}, y 0..{height - 1} (they have x {x.min():.0f}..{x.max():.0f}, y "
                f"{y.min():.0f}..{y.max():.0f}): the two have different origins, and a comparison "
                "with this object is void. If positions are counted from the middle of the "
                "object, center_x_m and center_y_m of a product must be 0, and positions in "
                "pixels need half of the object's size added"
            )
    return doubts
