"""Files that appear complete or not at all.

Every writer of this package goes through :func:`atomic_path`: the bytes are written to a hidden
folder beside the target, flushed to disk, and only then given the target's name. A process killed
at any moment leaves the old file or the new one, never a part of either.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ptycho_config.errors import InvalidValueError, PtychoError

from ptycho_data._space import telling_full_disk
from ptycho_data._staging import final_path, flush, flush_folder, staging

__all__ = ["OutputExistsError", "atomic_path", "refuse_existing", "refuse_irregular"]

# What a file system answers when it knows no hard links (FAT, some network and FUSE mounts).
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_KINDS = {
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a symbolic link",
}


class OutputExistsError(PtychoError, FileExistsError):
    """The output is there already and overwriting was not asked for."""

    def __init__(self, path: str | os.PathLike[str], advice: str = "") -> None:
        self.path, self.advice = Path(path), advice
        more = f", {advice}" if advice else ""
        super().__init__(
            f"{self.path}: exists already; pass --overwrite (overwrite=True) to replace it{more}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the parts, so that the error crosses process borders."""
        return type(self), (self.path, self.advice)


def refuse_existing(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Check that none of the outputs of some work is there yet.

    Parameters
    ----------
    paths
        The files that the work will write.

    Raises
    ------
    OutputExistsError
        For the first that exists; a dangling link is something of the user's, too.
    """
    for path in paths:
        if os.path.lexists(path):
            raise OutputExistsError(path)


def refuse_irregular(path: str | os.PathLike[str]) -> None:
    """Check that an output is free, or a regular file that may be replaced.

    A rename would turn a device, a FIFO, a socket or a link into a plain file. A link is not
    followed either: nobody is asked about the file that it leads to.

    Raises
    ------
    IsADirectoryError
        It is a folder, or a link to one.
    InvalidValueError
        It is something else, or a symbolic link, whether dangling or not. It has not been touched.
    """
    target = Path(path)
    if os.path.isdir(target):  # noqa: PTH112 - Path.is_dir raises where it may not look
        raise IsADirectoryError(f"{target}: is a folder, not a file; name the output file in it")
    try:
        mode = target.lstat().st_mode
    except OSError:  # free, or out of reach, which creating the file tells better
        return
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        advice = "name another file"
        if stat.S_ISLNK(mode):
            advice = "name the file that it leads to, or remove the link"
        raise InvalidValueError(f"{target}", "a regular file to be replaced", kind, advice)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, and move it to `path` when the block ends well.

    The temporary file lies in a hidden folder beside `path` (a rename is atomic within one file
    system only) and keeps its suffix, for writers that look at it. Its content is flushed to disk
    before the move, the folder after it. When the block raises, the temporary file is removed and
    `path` stays as it was. What a killed writer left is removed by the next one.

    Parameters
    ----------
    path
        The file to write. Its folder is made if missing.
    overwrite
        Replace an existing regular file; anything else is refused, links too. Without it an
        existing file is never touched, not even one that appears while the block runs.

    Yields
    ------
    Path
        An empty file to write to.

    Raises
    ------
    OutputExistsError
        `path` exists and `overwrite` is not set; checked before the block and again after it.
    InvalidValueError
        `path` is a device, a FIFO, a socket or a symbolic link.
    NoSpaceError
        The disk is full.
    OSError
        `path` is a folder, or its folder cannot be made or written to (PermissionError where that
        is the cause).
    """
    target = Path(path)
    _check(target, overwrite=overwrite)
    with telling_full_disk(final_path(target)), staging(target.parent) as folder:
        temporary = folder / f"new{target.suffix}"
        temporary.touch()
        try:
            yield temporary
            flush(temporary)
        except OSError as error:
            # a file that is gone says nothing
            if error.errno is not None and error.filename in (str(temporary), temporary):
                raise OSError(error.errno, error.strerror, str(target)) from error
            raise
        _check(target, overwrite=overwrite)
        _publish(temporary, target, overwrite=overwrite)
    flush_folder(target.parent)


def _check(target: Path, *, overwrite: bool) -> None:
    if overwrite or os.path.isdir(target):  # noqa: PTH112 - Path.is_dir raises where it may not look
        refuse_irregular(target)
    else:
        refuse_existing([target])


def _publish(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Give the finished file its name; without `overwrite` the name must still be free."""
    if overwrite:
        temporary.replace(target)
        return
    try:
        # A link fails where the name is taken, a rename would silently replace it.
        os.link(temporary, target)
    except FileExistsError:
        raise OutputExistsError(target) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise OutputExistsError(target) from None
        temporary.rename(target)
