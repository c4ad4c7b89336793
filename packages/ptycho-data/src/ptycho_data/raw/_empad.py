"""Frames of the EMPAD detector as it writes them: 128 rows of pixels, and two of other numbers."""

import math
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data.formats import FrameFormat, ImageFile

__all__ = ["FORMAT"]

_STORED, _ROWS = (130, 128), 128
_TYPE = np.dtype("<f4")
_GRID = re.compile(r"x(\d{1,6})_y(\d{1,6})")


def open_empad(path: Path) -> ImageFile:
    """Open a file whose size is that of some frames; its name may state the raster, x256_y256.

    Raises
    ------
    ValueError
        Its size is none of whole frames.
    """
    count, rest = divmod(path.stat().st_size, math.prod(_STORED) * _TYPE.itemsize)
    if rest or not count:
        raise ValueError(f"its size is none of frames of {_STORED[0]} x {_STORED[1]} float32")
    found = _GRID.search(path.name)
    columns, rows = (int(found[1]), int(found[2])) if found else (count, 1)
    grid = (rows, columns) if found and rows * columns == count else (count,)
    shape = (*grid, _ROWS, _STORED[1])
    return ImageFile(shape=shape, dtype=_TYPE, take=partial(_take, path, count))


def _take(path: Path, count: int, rows: NDArray[np.int64]) -> NDArray[Any]:
    frames = np.memmap(path, _TYPE, "r", shape=(count, *_STORED))
    return np.array(frames[rows, :_ROWS])


FORMAT = FrameFormat(
    name="empad",
    title="EMPAD files",
    suffixes=(".raw",),
    open=open_empad,
    particle="electron",
)
