"""Checks of single arrays of a file that is not read as a whole scan."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

__all__ = ["complex_array", "position_array"]


def complex_array(array: NDArray[Any], ndim: int, path: Path, name: str) -> NDArray[np.complex64]:
    """Return an array of a file as complex64.

    Parameters
    ----------
    array
        Array as read.
    ndim
        Required number of axes.
    path, name
        File and key, for the message.

    Raises
    ------
    InvalidValueError
        If it is empty, not a number array of ``ndim`` axes, or not finite.
    """
    if array.ndim != ndim or array.dtype.kind not in "fc" or array.size == 0:
        raise InvalidValueError(
            f"{name} of {path}",
            f"a complex array with {ndim} axes",
            f"{array.dtype} of shape {array.shape}",
        )
    if not np.isfinite(array).all():
        raise InvalidValueError(f"{name} of {path}", "finite", "NaN or infinity")
    return array.astype(np.complex64)


def position_array(x: NDArray[Any], y: NDArray[Any], path: Path) -> NDArray[np.float64]:
    """Return coordinates of a file as positions (n, 2), ``(x, y)``.

    Raises
    ------
    InvalidValueError
        If they are not one-dimensional, of equal length and finite.
    """
    name = f"xcoords and ycoords of {path}"
    if x.ndim != 1 or x.shape != y.shape or len(x) == 0:
        raise InvalidValueError(
            name, "one-dimensional and of equal length", f"shapes {x.shape} and {y.shape}"
        )
    positions = np.stack([x, y], axis=1).astype(np.float64)
    if not np.isfinite(positions).all():
        raise InvalidValueError(name, "finite", "NaN or infinity")
    return positions
