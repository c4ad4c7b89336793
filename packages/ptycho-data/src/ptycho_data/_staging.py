"""Hidden folders in which files are written before they get their names.

A staging folder lies inside the folder of its files, since a rename is atomic within one file
system only. Its owner holds a lock in it while it lives; what a killed process left is removed by
the next writer that uses the same folder.
"""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from ptycho_data._locks import cannot_write, locked_file, make_folder, unlock
from ptycho_data._space import telling_full_disk

__all__ = ["final_path", "flush", "flush_folder", "remove_leftovers", "staging"]

#: Where the system knows no locks, a leftover of this age belongs to a process that was killed.
LEFTOVER_AGE_S = 24 * 3600
#: The lock in a staging folder.
OWNER = ".ptycho-owner"
_NAME = re.compile(r"\.ptycho-[0-9a-f]{16}(\..*)?", re.DOTALL)


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Give an empty hidden folder inside another one, removed at the end unless it was renamed.

    Parameters
    ----------
    folder
        Where the files will be; made if missing.

    Raises
    ------
    NoSpaceError
        The disk is full.
    OSError
        The folder cannot be made or written to.
    """
    make_folder(folder)
    try:
        with telling_full_disk(folder):
            path, owner = _create(folder)
    except OSError as error:
        if error.args and str(error.args[0]).startswith(str(folder)):
            raise
        raise cannot_write(folder, error) from error
    _remove_leftovers(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        unlock(owner)


def _create(folder: Path) -> tuple[Path, int | None]:
    """Make a folder of a new name, with its lock; another writer may take it for a leftover."""
    while True:
        # A name of fixed length: those of the files may be as long as the file system allows.
        path = folder / f".ptycho-{secrets.token_hex(8)}"
        path.mkdir()
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            return path, locked_file(path / OWNER)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left anywhere below a folder."""
    for path in [path for path in folder.rglob(".ptycho-*") if _NAME.fullmatch(path.name)]:
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                _remove_if_dead(path, old=False)


def _remove_leftovers(mine: Path) -> None:
    """Remove what killed processes left beside a new staging folder."""
    with contextlib.suppress(OSError), os.scandir(mine.parent) as entries:
        limit = mine.stat().st_mtime - LEFTOVER_AGE_S  # by the clock of the file system
        for entry in entries:
            if entry.name == mine.name or not _NAME.fullmatch(entry.name):
                continue
            with contextlib.suppress(OSError):  # another writer was faster
                old = entry.stat(follow_symlinks=False).st_mtime < limit
                if entry.is_dir(follow_symlinks=False):
                    _remove_if_dead(Path(entry.path), old=old)
                elif entry.is_file(follow_symlinks=False) and old:  # of an earlier version
                    Path(entry.path).unlink()


def _remove_if_dead(folder: Path, *, old: bool) -> None:
    try:
        owner = locked_file(folder / OWNER, create=False)
    except FileNotFoundError:
        if old:
            shutil.rmtree(folder)
        else:
            folder.rmdir()  # killed, or about to lock: that one tries another name
        return
    if owner is None and not old:
        return
    try:
        shutil.rmtree(folder)
    finally:
        unlock(owner)


def final_path(path: Path) -> Path:
    """Return a path as it will be, without the staging folders in it, for messages."""
    return Path(*(part for part in path.parts if not _NAME.fullmatch(part)))


def flush(path: Path) -> None:
    """Flush a file to disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries for new names, where the system can do that (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
