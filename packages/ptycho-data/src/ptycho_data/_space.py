"""Disks that fill up: room that is checked before, and an error that names the file."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptycho_config.errors import PtychoError

__all__ = ["NoSpaceError", "need_space", "telling_full_disk"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TEXTS = {
    "No space left on device": errno.ENOSPC,
    "errno = 28": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
}
#: Libraries that do not pass the system's error on fail with less room than this.
_NOTHING = 64 << 10


class NoSpaceError(PtychoError, OSError):
    """There is no room for a file, or was not before it was complete; the old one is unchanged."""

    def __init__(
        self, path: str | os.PathLike[str], problem: str, number: int = errno.ENOSPC
    ) -> None:
        self.path, self.problem = Path(path), problem
        super().__init__(
            f"{self.path}: {problem}; make room there, or choose another output folder (what was "
            "there before is unchanged)"
        )
        self.errno = number

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the parts, so that the error crosses process borders."""
        return type(self), (self.path, self.problem, self.errno)


def _free(folder: Path) -> int | None:
    """Bytes that are free where a folder is, or will be; None where the system does not tell."""
    for place in (folder, *folder.parents, Path()):
        try:
            usage = shutil.disk_usage(place)
        except OSError:
            continue
        return usage.free if usage.total else None
    return None


def _text(size: int) -> str:
    for unit, name in ((1 << 30, "GB"), (1 << 20, "MB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 1024:.0f} kB"


def need_space(path: str | os.PathLike[str], size: int) -> None:
    """Refuse work whose results have no room.

    Parameters
    ----------
    path
        A file, or an output folder; it may be missing.
    size
        About how many bytes will be written there.

    Raises
    ------
    NoSpaceError
        Fewer are free.
    """
    free = _free(Path(path))
    if free is not None and free < size:
        raise NoSpaceError(path, f"needs about {_text(size)}, and the disk has {_text(free)} free")


@contextlib.contextmanager
def telling_full_disk(path: Path) -> Iterator[None]:
    """Turn the many errors of a full disk into a NoSpaceError that names the file.

    Some libraries pass on no error number, others no text either.
    """
    try:
        yield
    except NoSpaceError as error:
        # named by a writer below a hidden folder: name the file that the user knows
        if error.path != path and any(part.startswith(".ptycho-") for part in error.path.parts):
            raise NoSpaceError(path, error.problem, error.errno or errno.ENOSPC) from error
        raise
    except (OSError, RuntimeError, ValueError) as error:
        number = _full(error, path)
        if number is None:
            raise
        problem = f"the disk is full ({_text(_free(path.parent) or 0)} free)"
        if number == errno.EFBIG:
            problem = "grew beyond the largest size that a file may have here"
        raise NoSpaceError(path, problem, number) from error


def _full(error: Exception, path: Path) -> int | None:
    """Return the number of an error of a full disk, None for another error."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return error.errno
    for text, number in _TEXTS.items():
        if text in str(error):
            return number
    free = None if isinstance(error, PtychoError) else _free(path.parent)
    return errno.ENOSPC if free is not None and free <= _NOTHING else None
