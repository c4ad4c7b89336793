"""Files of frames, one or many, as one stack that is read frame by frame."""

import math
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import MissingPackageError, PtychoError

from ptycho_data._mapped import Stamp
from ptycho_data._stack import BLOCK_BYTES, LazyStack
from ptycho_data._untrusted import LIMITS, Header, HeaderError, brief, check_extents
from ptycho_data._violations import WHOLE_FILE, ScanFormatError
from ptycho_data.formats import FrameFormat, ImageFile
from ptycho_data.raw._series import missing_numbers

__all__ = ["FRAMES", "FrameFiles"]

FRAMES = "frames"
"""Name of the frames, where one is needed."""


class FrameFiles:
    """Files of frames of one detector, in their order.

    Parameters
    ----------
    paths
        The files; at least one.
    format
        Their format.

    Raises
    ------
    ScanFormatError
        One cannot be read, is damaged, or holds no frames; their frames differ in size.
    """

    def __init__(self, paths: Sequence[Path], format: FrameFormat) -> None:  # noqa: A002
        self.paths, self.path, self.format = tuple(paths), paths[0], format
        stamps = [Stamp.of(path) for path in paths]
        first = open_image(self.path, format)
        counts = [math.prod(first.shape[:-2])]
        if counts[0] > 1:  # else all files have one frame, which is checked as they are read
            shapes = [first.shape, *(open_image(path, format).shape for path in paths[1:])]
            counts = [math.prod(shape[:-2]) for shape in shapes]
        else:
            counts *= len(paths)
        self._first, self._source = first, FrameSource(stamps, format, counts, first)
        self.numbers = dict(first.numbers)
        self.names: tuple[str, ...] = (FRAMES, *self.numbers)
        grid = first.shape[:-2] if len(paths) == 1 else (sum(counts),)
        self._shape = (*grid, *first.shape[-2:])
        self.cautions = _told(paths)

    def __contains__(self, name: str) -> bool:
        """Tell whether the files have frames, or a quantity, of this name."""
        return not name or name in self.names

    def header(self, name: str) -> Header:
        """Return shape and type of the frames, or of a quantity."""
        if name in self.numbers:
            return Header(shape=(), dtype=np.dtype(np.float64))
        return Header(shape=self._shape, dtype=self._first.dtype)

    def read(self, name: str) -> NDArray[Any]:
        """Read a quantity, or all frames; one frame alone has two axes."""
        if name in self.numbers:
            return np.array(self.numbers[name][0], np.float64)
        frames = self.stack()[:]
        return frames[0] if len(frames) == 1 else frames.reshape(self._shape)

    def unit(self, name: str) -> str | None:
        """Return the unit of a quantity."""
        return self.numbers[name][1] or None if name in self.numbers else None

    def stack(self) -> LazyStack:
        """Give access to the frames (n, H, W) without reading them."""
        return LazyStack(self._source)

    def close(self) -> None:
        """Do nothing: files are open only while they are read."""


def _told(paths: Sequence[Path]) -> list[str]:
    count, first = missing_numbers(paths)
    if not count:
        return []
    some = ", ".join(map(str, first)) + (", ..." if count > len(first) else "")
    return [f"{paths[0].name} to {paths[-1].name}: {count} numbers are missing: {some}"]


class FrameSource:
    """Frames of several files, each of which is open only while its frames are read."""

    def __init__(
        self,
        stamps: list[Stamp],
        format: FrameFormat,  # noqa: A002 - what it is
        counts: list[int],
        first: ImageFile,
    ) -> None:
        self.stamps, self.format, self.counts = stamps, format, counts
        self.ends = list(accumulate(counts))
        self.shape: tuple[int, ...] = (self.ends[-1], *first.shape[-2:])
        self.dtype = first.dtype
        frame = math.prod(first.shape[-2:]) * first.dtype.itemsize
        self.block_rows = max(1, BLOCK_BYTES // frame)

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the frames of these rows."""
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        which = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(which):
            wanted = which == number
            start = self.ends[number - 1] if number else 0
            out[wanted] = self._read(int(number), rows[wanted] - start)
        return out

    def _read(self, number: int, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read frames of one file, after a check that they are like the first."""
        stamp = self.stamps[number]
        stamp.check()
        opened = open_image(stamp.path, self.format)
        count = math.prod(opened.shape[:-2])
        if count != self.counts[number] or opened.shape[-2:] != self.shape[1:]:
            rule = f"of {self.counts[number]} frames of {_size(self.shape)}, as the first file"
            got = f"{count} of {_size(opened.shape)}"
            raise ScanFormatError.of(stamp.path, WHOLE_FILE, rule, got)
        if not np.can_cast(opened.dtype, self.dtype):
            rule, got = f"of {self.dtype}, as the first file", f"{opened.dtype}"
            raise ScanFormatError.of(stamp.path, WHOLE_FILE, rule, got)
        try:
            read = opened.take(rows)
        except Exception as error:  # code of another package may raise anything
            raise _damaged(stamp.path, self.format, error) from None
        stamp.check()
        return read


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[-2]} x {shape[-1]}"


def open_image(path: Path, format: FrameFormat) -> ImageFile:  # noqa: A002
    """Open a file of frames, and check what it declares.

    Raises
    ------
    ScanFormatError
        It cannot be read, or holds no frames.
    MissingPackageError
        The package that reads it is not installed.
    """
    try:
        opened = format.open(path)
    except ImportError as error:
        needed = f"{path}: {format.title} need a package that is missing ({brief(error)})"
        raise MissingPackageError(f"{needed}: pip install {format.package}") from None
    except PtychoError:
        raise
    except Exception as error:  # code of another package may raise anything
        raise _damaged(path, format, error) from None
    header = Header(shape=opened.shape, dtype=opened.dtype)
    rule = "of frames of plain numbers, (n, H, W)"
    try:
        check_extents(opened.shape)
    except HeaderError as error:
        raise ScanFormatError.of(path, WHOLE_FILE, error.rule, error.got) from None
    if len(opened.shape) < 3 or 0 in opened.shape or opened.dtype.kind not in "iuf":
        raise ScanFormatError.of(path, WHOLE_FILE, rule, header.describe())
    size = path.stat().st_size
    if path.is_file() and LIMITS.inflates_absurdly(header.nbytes, size):
        got = f"{header.nbytes} declared bytes in a file of {size}"
        raise ScanFormatError.of(path, WHOLE_FILE, "complete", got)
    return opened


def _damaged(path: Path, format: FrameFormat, error: Exception) -> ScanFormatError:  # noqa: A002
    rule = f"one of {format.title}, complete and undamaged"
    reader = format.package or format.name
    got = f"what {reader} cannot read ({brief(error, 160)})"
    return ScanFormatError.of(path, WHOLE_FILE, rule, got)
