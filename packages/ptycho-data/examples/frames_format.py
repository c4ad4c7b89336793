"""A format of frames outside ptycho-data: 16 bytes of header, then frames of 16-bit numbers.

A package that holds this file registers the format in its ``pyproject.toml``::

    [project.entry-points."ptycho.formats"]
    counter = "frames_format:FORMAT"

After its installation, ``ptycho prepare`` reads such files: alone, in series and in folders.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_data.formats import FrameFormat, ImageFile

HEADER = np.dtype([("n", "<u4"), ("height", "<u4"), ("width", "<u4"), ("distance_mm", "<f4")])


def open_frames(path: Path) -> ImageFile:
    """Open a file; frames are read by `take`, some at a time."""
    (header,) = np.fromfile(path, HEADER, 1)
    shape = (int(header["n"]), int(header["height"]), int(header["width"]))
    numbers = {"distance": (float(header["distance_mm"]), "mm")}
    take = partial(read_frames, path, shape)
    return ImageFile(shape=shape, dtype=np.dtype("<u2"), take=take, numbers=numbers)


def read_frames(path: Path, shape: tuple[int, ...], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return the frames (k, H, W) of some numbers."""
    frames = np.memmap(path, "<u2", "r", offset=HEADER.itemsize, shape=shape)
    return np.array(frames[rows])


FORMAT = FrameFormat(
    name="counter",
    title="files of our counting detector",
    suffixes=(".cnt",),
    open=open_frames,
)
