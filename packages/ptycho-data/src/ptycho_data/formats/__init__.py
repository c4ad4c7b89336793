"""File formats, each told by its content.

A format is one module with a `Format`: how it is told (``matches``), read (``read``) and, for
some, written (``write``). It takes part by its line in `FORMATS`; the first that matches reads.
"""

import contextlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from ptycho_data._contract import WHOLE_FILE, Findings, ScanFormatError
from ptycho_data.formats import _cxi, _fold_slice, _lcls, _npz, _ptychodus
from ptycho_data.formats._base import Container, Format, Opened, find_in_folder, open_container

__all__ = [
    "FORMATS",
    "Container",
    "Format",
    "Opened",
    "detect",
    "format_named",
    "format_of",
    "opened_scan",
]

FORMATS: tuple[Format, ...] = (
    _ptychodus.FORMAT,
    _cxi.FORMAT,
    _fold_slice.FORMAT,
    _lcls.FORMAT,
    _npz.FORMAT,  # takes every NPZ file
)
"""All formats, the more particular ones first."""

#: Names by which a folder is known at once.
_USUAL = ("diffraction.h5", "diffraction.cxi", "diffraction.npz")


def format_named(name: str) -> Format:
    """Return the format of this name.

    Raises
    ------
    ValueError
        There is none.
    """
    for one in FORMATS:
        if one.name == name:
            return one
    raise ValueError(f"format: expected {', '.join(f.name for f in FORMATS)}, found {name!r}")


def detect(file: Container) -> Format:
    """Tell the format of an open file by its content.

    Raises
    ------
    ScanFormatError
        It is none of `FORMATS`.
    """
    for one in FORMATS:
        if one.matches(file):
            return one
    there = ", ".join(file.names[:20]) or "nothing"
    known = ", ".join(one.title for one in FORMATS)
    found = f"no scan known here (it holds: {there})"
    raise ScanFormatError.of(file.path, WHOLE_FILE, found, f"one of: {known}")


def format_of(path: str | PathLike[str]) -> Format:
    """Tell the format of a scan, a file or a folder.

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
    if not path.is_dir():
        return path
    inside = find_in_folder(path, _holds_patterns, _USUAL)
    if len(inside) == 1:
        return inside[0]
    names = ", ".join(file.name for file in inside[:5])
    found = f"a folder with {len(inside)} files of patterns ({names})" if inside else (
        "a folder without a file of patterns")  # fmt: skip
    raise ScanFormatError.of(path, WHOLE_FILE, found, "the name of one file")


@contextlib.contextmanager
def opened_scan(
    path: str | PathLike[str],
    findings: Findings,
    *,
    companion: str | PathLike[str] | None = None,
    pixel_size_m: float | None = None,
    patterns_needed: bool = True,
) -> Iterator[tuple[Format, Opened]]:
    """Open a scan, a file or a folder, and tell its format.

    Raises
    ------
    ScanFormatError
        It cannot be opened, or is no scan of a known format.
    """
    with contextlib.ExitStack() as closing:
        file = open_container(_file_of(Path(path)))
        closing.callback(file.close)
        yield (
            detect(file),
            Opened(
                file=file,
                findings=findings,
                companion=None if companion is None else Path(companion),
                pixel_size_m=pixel_size_m,
                patterns_needed=patterns_needed,
                closing=closing,
            ),
        )
