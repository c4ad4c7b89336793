"""Locks that die with the process that holds them.

A lock is an open file with `flock`: the system releases it when the process ends, however it ends.
Where the file system knows no such locks (some network and FUSE mounts, and Windows), work goes on
without one, after a warning.
"""

import contextlib
import errno
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptycho_config.errors import PtychoError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["FolderInUseError", "folder_lock", "locked_file", "make_folder", "remove_if_empty"]

#: The file in an output folder that its writer holds locked.
LOCK_NAME = ".ptycho-lock"
_HOLDER = re.compile(r"pid (\d{1,10}) on ([\w.-]{1,255}) since (\d{4}-\d\d-\d\dT[\d:]{8}Z)\n")
#: What a file system answers that knows no locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_PAUSE_S = 0.05
#: Another process may take away a lock's file between its opening and its locking.
_TRIES = 100

_log = logging.getLogger(__name__)
_warned: set[str] = set()
#: Folders locked by this process, by device and inode: thread, and how often.
_held: dict[tuple[int, int], tuple[int, int]] = {}
_guard = threading.Lock()
_descriptors: set[int] = set()


class FolderInUseError(PtychoError, BlockingIOError):
    """Another process, or another thread, is writing to the folder."""

    def __init__(self, folder: str | os.PathLike[str], holder: str) -> None:
        self.folder, self.holder = Path(folder), holder
        super().__init__(
            f"{self.folder}: in use by {holder}; wait until it has ended, or choose another output "
            "folder"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the parts, so that the error crosses process borders."""
        return type(self), (self.folder, self.holder)


def _close_in_child() -> None:
    """Close the locks in a forked process, which could outlive their holder."""
    _held.clear()
    for descriptor in tuple(_descriptors):
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def locked_file(path: Path, *, create: bool = True) -> int | None:
    """Open a file and lock it, without waiting.

    Parameters
    ----------
    path
        The file, never followed where it is a link.
    create
        Make it where it is missing.

    Returns
    -------
    int or None
        The descriptor, for `unlock`; None where the file system knows no locks.

    Raises
    ------
    BlockingIOError
        Somebody else holds it.
    OSError
        It cannot be opened; a FileNotFoundError where its folder is gone.
    """
    if fcntl is None:
        _warn(path.parent)
        return None
    for _ in range(_TRIES):
        descriptor = _open(path, create=create)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(descriptor), path.lstat())
        except FileNotFoundError:  # its last holder removed it
            same = False
        except OSError as error:
            os.close(descriptor)
            if error.errno in _NO_LOCKS:
                _warn(path.parent)
                return None
            raise
        if same:
            _descriptors.add(descriptor)
            return descriptor
        os.close(descriptor)
    raise BlockingIOError(errno.EAGAIN, "changes hands all the time", str(path))


def unlock(descriptor: int | None) -> None:
    """Release a lock of `locked_file`."""
    if descriptor is not None:
        _descriptors.discard(descriptor)
        os.close(descriptor)


def _open(path: Path, *, create: bool) -> int:
    more = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # not wait for a FIFO of this name
    try:
        return os.open(path, os.O_RDWR | more | (os.O_CREAT if create else 0), 0o666)
    except PermissionError:  # of another user: locks need no right to write
        return os.open(path, os.O_RDONLY | more)


def _warn(folder: Path) -> None:
    if str(folder) not in _warned:
        _warned.add(str(folder))
        _log.warning(
            "%s: this file system knows no locks; start no second command on this folder", folder
        )


@contextlib.contextmanager
def folder_lock(folder: str | os.PathLike[str], *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold an output folder for this process, so that no other one writes results to it.

    The lock is the hidden file ``.ptycho-lock``, which names its holder and goes at the end. It is
    free again as soon as its holder has ended, even if it was killed. One thread may take it
    several times.

    Parameters
    ----------
    folder
        The folder; made if missing, and removed again if the block leaves it empty.
    wait_s
        How long to wait for it.

    Raises
    ------
    FolderInUseError
        It is held by somebody else; the message names the process, its machine and since when.
    OSError
        The folder cannot be made or written to.
    """
    target = Path(folder)
    made = make_folder(target)
    try:
        with _taken(target, wait_s):
            yield
    finally:
        remove_if_empty(made)


@contextlib.contextmanager
def _taken(folder: Path, wait_s: float) -> Iterator[None]:
    status = folder.stat()
    key, thread = (status.st_dev, status.st_ino), threading.get_ident()
    give_up = time.monotonic() + wait_s
    with _guard:
        owner, depth = _held.get(key, (thread, 0))
        if depth and owner == thread:
            _held[key] = (thread, depth + 1)
    if not (depth and owner == thread):
        descriptor = _acquire(folder, give_up)
        with _guard:
            _held[key] = (thread, 1)
    try:
        yield
    finally:
        with _guard:
            # absent in a forked process, which holds nothing
            owner, depth = _held.pop(key, (thread, 0))
            if depth > 1:
                _held[key] = (thread, depth - 1)
        if depth == 1:
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    (folder / LOCK_NAME).unlink()
            unlock(descriptor)


def _acquire(folder: Path, give_up: float) -> int | None:
    while True:
        try:
            descriptor = locked_file(folder / LOCK_NAME)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise FolderInUseError(folder, _holder(folder / LOCK_NAME)) from None
            time.sleep(_PAUSE_S)
            continue
        except FileNotFoundError:  # another process removed the folder, which it found empty
            folder.mkdir(parents=True, exist_ok=True)
            continue
        except OSError as error:
            raise cannot_write(folder, error) from error
        if descriptor is not None:
            _sign(descriptor)
        return descriptor


def _sign(descriptor: int) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = f"pid {os.getpid()} on {socket.gethostname() or 'localhost'} since {since}\n"
    # on a full disk, or in the file of another user, the lock holds without a name
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _holder(path: Path) -> str:
    """Name the holder of a lock; nothing else of the file is repeated, whoever wrote it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = _HOLDER.fullmatch(os.read(descriptor, 400).decode(errors="replace"))
        finally:
            os.close(descriptor)
        if found:
            pid, host, since = found.groups()
            return f"process {pid} on {host} since {since}"
    return "another process"


def cannot_write(folder: Path, error: OSError) -> OSError:
    """Return the error of a folder that cannot be made or written to, in one line."""
    reason = error.strerror or str(error)
    # type(error) keeps PermissionError and friends; one argument alone keeps the message plain.
    return type(error)(
        f"{folder}: cannot write into this folder ({reason}); choose another output folder"
    )


def make_folder(folder: Path) -> list[Path]:
    """Make a folder with its parents, and return those that were made, the innermost first."""
    if os.path.lexists(folder) and not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises where it may not look
        raise NotADirectoryError(f"{folder}: is not a folder; choose another output folder")
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remove_if_empty(made)
        if isinstance(error, FileExistsError | NotADirectoryError):
            msg = f"{folder}: is not a folder; choose another output folder"
            raise NotADirectoryError(msg) from error
        raise cannot_write(folder, error) from error
    return made


def remove_if_empty(folders: list[Path]) -> None:
    """Remove folders of `make_folder` that nothing was written to."""
    for path in folders:
        with contextlib.suppress(OSError):
            path.rmdir()
