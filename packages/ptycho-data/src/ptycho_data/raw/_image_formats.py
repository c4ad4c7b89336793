"""Which files are read as frames alone, and which of a folder are meant."""

from collections.abc import Sequence
from pathlib import Path

from ptycho_data._violations import WHOLE_FILE, ScanFormatError
from ptycho_data.formats import FrameFormat, added_frame_formats
from ptycho_data.raw import _empad, _fabio, _rosettasciio

__all__ = ["frame_format", "named_files"]

_OWN = (_fabio.FORMAT, _empad.FORMAT, _rosettasciio.FORMAT)
#: What the name of the file ends in that leads to all others of its folder.
_MASTERS = ("_master.h5", ".nxs")


def frame_format(path: Path) -> FrameFormat | None:
    """Return the format of a file of frames by its suffix, those of other packages first."""
    suffix = path.suffix.lower()
    known = (*added_frame_formats(), *_OWN)
    return next((one for one in known if suffix in one.suffixes), None)


def named_files(paths: Sequence[Path]) -> list[Path]:
    """Return files, with the files of frames, or the master file, of each folder instead of it.

    Raises
    ------
    ScanFormatError
        A folder has neither, or several master files.
    """
    found: list[Path] = []
    for path in paths:
        folder = path.is_dir() and frame_format(path) is None
        found += _inside(path) if folder else [path]
    return found


def _inside(folder: Path) -> list[Path]:
    there = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    frames = [path for path in there if frame_format(path) is not None]
    if frames:
        return frames
    masters = [path for path in there if path.name.endswith(_MASTERS)]
    if len(masters) != 1:
        got = f"{len(masters)} master files and no files of frames, such as .tif"
        rule = "a folder with the frames of one scan"
        raise ScanFormatError.of(folder, WHOLE_FILE, rule, got, "name the files")
    return masters
