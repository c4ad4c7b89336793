"""File formats, recognised by their content.

A format is one module with a `Format`: whether a file is of it (``matches``), how to read it
(``read``) and, for some, how to write it (``write``). The formats of this package are in
`FORMATS`; installed packages add theirs by an entry point of the group ``ptycho.formats``, whose
value is a `Format`. `known_formats` lists all; the first that matches reads a file. Files that have
frames and no scan, for ``ptycho prepare``, have a `FrameFormat` in the same group.
"""

import contextlib
import functools
import warnings
from collections.abc import Iterator
from importlib.metadata import entry_points
from os import PathLike
from pathlib import Path

from ptycho_config.errors import InvalidValueError

from ptycho_data._experiment import Experiment
from ptycho_data._sets import finish_commit
from ptycho_data._violations import WHOLE_FILE, Findings, ScanFormatError, ScanFormatWarning
from ptycho_data.formats import _cxi, _fold_slice, _lcls, _npz, _ptychodus, _ptyr
from ptycho_data.formats._base import (
    PREPARE,
    Container,
    Format,
    Opened,
    Raw,
    find_in_folder,
    find_partner,
    has_all,
    open_container,
)
from ptycho_data.formats._frames import FrameFormat, ImageFile
from ptycho_data.formats._metres import ScanInMetres

__all__ = [
    "ENTRY_POINTS",
    "FORMATS",
    "Container",
    "Format",
    "FrameFormat",
    "ImageFile",
    "Opened",
    "Raw",
    "ScanInMetres",
    "added_frame_formats",
    "detect",
    "find_partner",
    "format_named",
    "format_of",
    "has_all",
    "known_formats",
    "opened_scan",
]

ENTRY_POINTS = "ptycho.formats"
"""Group of the entry points by which other packages add formats."""

FORMATS: tuple[Format, ...] = (
    _ptychodus.FORMAT,
    _cxi.FORMAT,
    _fold_slice.FORMAT,
    _lcls.FORMAT,
    _ptyr.FORMAT,
    _npz.FORMAT,  # takes every NPZ file
)
"""The formats of this package, the more particular ones first."""


def known_formats() -> tuple[Format, ...]:
    """Return all formats of scans: those of other packages, then those of this one.

    Entry points are looked up once per process.

    Warns
    -----
    ScanFormatWarning
        If an entry point cannot be loaded or is no format; it is left out.
    """
    return (*(one for one in _added() if isinstance(one, Format)), *FORMATS)


def added_frame_formats() -> tuple[FrameFormat, ...]:
    """Return the formats of frames of other packages; warns as `known_formats`."""
    return tuple(one for one in _added() if isinstance(one, FrameFormat))


@functools.cache
def _added() -> tuple[Format | FrameFormat, ...]:
    added = []
    for point in entry_points(group=ENTRY_POINTS):
        try:
            added.append(_loaded(point.load()))
        except Exception as error:  # code of another package may raise anything
            text = f"{ENTRY_POINTS}: {point.name} ({point.value}) left out: {error}"
            warnings.warn(text, ScanFormatWarning, stacklevel=2)
    return tuple(added)


def _loaded(value: object) -> Format | FrameFormat:
    if not isinstance(value, Format | FrameFormat):
        rule = "a Format or a FrameFormat"
        raise InvalidValueError("the entry point", rule, type(value).__name__)
    return value


#: Names of files of patterns that are looked for first in a folder.
_USUAL = ("diffraction.h5", "diffraction.cxi", "diffraction.npz")


def format_named(name: str) -> Format:
    """Return the format of this name.

    Raises
    ------
    InvalidValueError
        There is none.
    """
    for one in known_formats():
        if one.name == name:
            return one
    rule = f"one of {', '.join(one.name for one in known_formats())}"
    raise InvalidValueError("format", rule, repr(name))


def detect(file: Container) -> Format:
    """Return the format of an open file, recognised by its content.

    Raises
    ------
    ScanFormatError
        It is of none of `known_formats`.
    """
    for one in known_formats():
        if one.matches(file):
            return one
    arrays = ", ".join(file.names[:20]) or "nothing"
    titles = ", ".join(one.title for one in known_formats())
    got = f"a file that holds: {arrays}"
    rule = f"a scan in one of the formats {titles}"
    raise ScanFormatError.of(file.path, WHOLE_FILE, rule, got, PREPARE)


def format_of(path: str | PathLike[str]) -> Format:
    """Return the format of a scan, a file or a folder.

    Raises
    ------
    ScanFormatError
        It cannot be opened, or is no scan of a known format.
    """
    with opened_scan(path, Findings(str(path)), patterns_needed=False) as (one, _):
        return one


def _holds_patterns(file: Container) -> bool:
    try:
        one = detect(file)
    except ScanFormatError:
        return False
    return one.holds_patterns(file)


def _file_of(path: Path) -> Path:
    """Find the file with the patterns where a folder was named."""
    # one file of two may be newer than the other until an interrupted writer's work is finished
    finish_commit(path if path.is_dir() else path.parent)
    if not path.is_dir():
        return path
    inside = find_in_folder(path, _holds_patterns, _USUAL)
    if len(inside) == 1:
        return inside[0]
    names = ", ".join(file.name for file in inside[:5])
    got = f"a folder with {len(inside)} files of patterns ({names})" if inside else (
        "a folder without a file of patterns")  # fmt: skip
    raise ScanFormatError.of(path, WHOLE_FILE, "a scan in one file", got, "name the file")


@contextlib.contextmanager
def opened_scan(
    path: str | PathLike[str],
    findings: Findings,
    *,
    companion: str | PathLike[str] | None = None,
    given: Experiment | None = None,
    patterns_needed: bool = True,
    follow_links: bool = False,
) -> Iterator[tuple[Format, Opened]]:
    """Open a scan, a file or a folder, and recognise its format.

    Raises
    ------
    ScanFormatError
        It cannot be opened, or is no scan of a known format.
    """
    with contextlib.ExitStack() as closing:
        file = open_container(_file_of(Path(path)), follow_links=follow_links)
        closing.callback(file.close)
        yield (
            detect(file),
            Opened(
                file=file,
                findings=findings,
                companion=None if companion is None else Path(companion),
                given=given or Experiment(),
                patterns_needed=patterns_needed,
                follow_links=follow_links,
                closing=closing,
            ),
        )
