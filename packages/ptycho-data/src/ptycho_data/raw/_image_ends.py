"""Checks that the readers of CBF and TIFF files come to an end, before fabio opens them.

fabio 2026.6 reads on for ever where a CBF file ends before its binary section, and where the
directories of a TIFF file follow each other in a circle.
"""

import mmap
import struct
from pathlib import Path

__all__ = ["require_end"]

#: What the binary section of a CBF file begins with, within its first bytes, and its values.
_SECTION, _WITHIN, _VALUES = b"--CIF-BINARY-FORMAT-SECTION--", 8192, b"\x0c\x1a\x04\xd5"
_MOST_DIRECTORIES = 1 << 20


def require_end(path: Path) -> None:
    """Raise a ValueError for a file that fabio would never have read."""
    suffix = path.suffix.lower()
    if not path.stat().st_size:
        raise ValueError("an empty file")
    if suffix in (".cbf", ".tif", ".tiff"):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if suffix == ".cbf":
                section = data.find(_SECTION, 0, _WITHIN)
                if section < 0 or data.find(_VALUES, section) < 0:
                    raise ValueError("no binary section in it")
            else:
                _walk_directories(data)


def _walk_directories(data: mmap.mmap) -> None:
    """Follow the directories of a TIFF file to the last one."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        raise ValueError("not the first bytes of a TIFF file")
    (place,) = struct.unpack(f"{order}L", data[4:8])
    seen: set[int] = set()
    while place:
        if place in seen or len(seen) > _MOST_DIRECTORIES:
            raise ValueError("directories that follow each other in a circle")
        seen.add(place)
        if place + 2 > len(data):
            raise ValueError("a directory beyond the end of the file")
        (entries,) = struct.unpack(f"{order}H", data[place : place + 2])
        end = place + 2 + 12 * entries
        if end + 4 > len(data):
            raise ValueError("a directory beyond the end of the file")
        (place,) = struct.unpack(f"{order}L", data[end : end + 4])
