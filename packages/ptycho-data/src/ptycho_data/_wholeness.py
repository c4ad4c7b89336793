"""Whether a file is written completely, told without waiting for it and without disturbing it."""

import errno
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
from attrs import frozen

from ptycho_data._hdf5 import is_hdf5
from ptycho_data._hdf5_source import DAMAGE, member_names, open_file
from ptycho_data._untrusted import LIMITS, ZIP_DAMAGE, brief

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Wholeness", "locked", "wholeness"]

#: What HDF5 says of a file that its writer has not closed, or never closed.
_OPEN = "already open for"
_ZIP = b"PK\x03\x04"


@frozen(kw_only=True)
class Wholeness:
    """What is known of a file before it is read.

    Attributes
    ----------
    held
        Whether its writer still holds it.
    problem
        What is missing or damaged; None if it opens.
    links
        Other files that an HDF5 file takes data from, by external links and virtual datasets.
    """

    held: bool = False
    problem: str | None = None
    links: tuple[Path, ...] = ()

    @property
    def missing(self) -> tuple[Path, ...]:
        """The links that lead to no file."""
        return tuple(path for path in self.links if not path.exists())


def wholeness(path: Path) -> Wholeness:
    """Look whether a file is complete: HDF5 and ZIP (NPZ) are opened, others are taken as they are.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Wholeness
        Nothing is raised: a file that cannot be opened has a problem.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Wholeness(problem="not a regular file")
        if not status.st_size:
            return Wholeness(problem="an empty file")
        if is_hdf5(path):
            return _of_hdf5(path)
        with path.open("rb") as file:
            zipped = file.read(len(_ZIP)) == _ZIP
        if zipped:
            with zipfile.ZipFile(path):  # its table of contents is at the end
                pass
    except ZIP_DAMAGE as error:
        return Wholeness(problem=brief(error, 200))
    return Wholeness()


def _of_hdf5(path: Path) -> Wholeness:
    if locked(path):
        return Wholeness(held=True)
    try:
        with open_file(path) as file:
            return Wholeness(links=tuple(dict.fromkeys(_links(file, path.parent))))
    except DAMAGE as error:
        if _OPEN in str(error):
            return Wholeness(held=True)
        return Wholeness(problem=brief(error, 200))


def locked(path: Path) -> bool:
    """Tell whether a process of this machine holds the lock that HDF5 takes for writing."""
    if fcntl is None:
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    finally:
        os.close(descriptor)  # which releases it
    return False


def _links(file: h5py.File, folder: Path) -> Iterator[Path]:
    """Yield the other files that a file takes data from."""
    groups: list[h5py.Group] = [file["/"]]
    seen: set[int] = set()
    while groups and len(seen) < LIMITS.files:
        group = groups.pop()
        place = h5py.h5o.get_info(group.id).addr
        if place in seen:  # a circle of hard links
            continue
        seen.add(place)
        for name in member_names(group):
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield _beside(folder, str(link.filename))
            elif isinstance(link, h5py.HardLink):
                item = group[name]
                if isinstance(item, h5py.Group):
                    groups.append(item)
                elif isinstance(item, h5py.Dataset) and item.is_virtual:
                    names = {str(part.file_name) for part in item.virtual_sources()} - {"."}
                    yield from (_beside(folder, name) for name in sorted(names) if "%" not in name)


def _beside(folder: Path, filename: str) -> Path:
    """Return the file that HDF5 would open for a link of a file in this folder."""
    path = folder / filename
    return path if path.exists() else folder / Path(filename).name
