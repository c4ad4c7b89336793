"""Files with frames of a detector and no scan: what a format of them is, and what it opens."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from ptycho_data.units import Particle

__all__ = ["FrameFormat", "ImageFile"]


@frozen(kw_only=True, eq=False)
class ImageFile:
    """An open file of frames.

    Attributes
    ----------
    shape
        (n, H, W); (rows, columns, H, W) of a raster.
    dtype
        Of the stored values, a plain number.
    take
        Reads the frames of some numbers, counted line by line: int64 (k,) to an array (k, H, W).
    numbers
        What the file states of the experiment, as (value, unit) under the names of the quantities
        of a layout: ``distance``, ``energy``, ``wavelength``, ``pixel_x``, ``pixel_y``,
        ``centre_x``, ``centre_y``, ``step_x``, ``step_y``, ``angle``. The unit may be empty.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    take: Callable[[NDArray[np.int64]], NDArray[Any]]
    numbers: Mapping[str, tuple[float, str]] = field(factory=dict)


@frozen(kw_only=True)
class FrameFormat:
    """A format of files of frames, which ``ptycho prepare`` reads by the suffix of their names.

    Attributes
    ----------
    name
        Of the format.
    title
        In words, for messages.
    suffixes
        Endings of file names, in small letters, with the dot.
    open
        Opens a file; a function of a module, so that worker processes have it too. It may raise
        anything for a damaged file: users read one line about it.
    package
        What has to be installed to read such files, for messages; empty for nothing.
    particle
        What is diffracted, if it is known.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    open: Callable[[Path], ImageFile]
    package: str = ""
    particle: Particle | None = None
