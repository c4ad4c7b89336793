"""The members of a bundle as bytes, from a ZIP file or from a folder, with nothing trusted.

A bundle may come from anywhere, so each step is cheap and bounded before the next: the list of
names and sizes is judged before any member is opened, a member is read only up to the size it
states, and nothing is ever extracted to disk.
"""

import contextlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen
from ptycho_config.errors import PtychoError

__all__ = ["BUNDLE_NAME", "BundleError", "Members", "open_members"]

BUNDLE_NAME = "wts.h5.zip"

MANIFEST = "manifest.json"

# Far above every real bundle, far below what fills a machine's memory.
MEMBER_LIMITS = {
    "manifest.json": 2**20,
    "config.json": 2**24,
    "scaling.json": 2**24,
    "history.json": 2**28,
    "probe.npy": 2**32,
    "weights.safetensors": 2**34,
}
OTHER_LIMIT = 2**28

# Saved bundles are not compressed at all; one packed again by hand may be, but weights shrink
# by a factor of two at best, and a file that is mostly one repeated byte is no model.
MAX_INFLATION = 100
INFLATION_FLOOR = 2**24

MAX_MEMBERS = 64


class BundleError(PtychoError, ValueError):
    """A model bundle cannot be used: what is wrong, in one line that begins with its path."""

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        self.path = Path(path)
        self.problem = problem
        super().__init__(f"{self.path}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from both parts, so that the error crosses process borders."""
        return type(self), (self.path, self.problem)


class Members(Protocol):
    """The members of a bundle: where it is, what is in it, and their bytes.

    ``complete`` says that `sizes` lists everything there is (a ZIP); a folder may hold other
    files beside the members, which are none of our business.
    """

    @property
    def path(self) -> Path:
        """The file or folder."""

    @property
    def complete(self) -> bool:
        """Whether every file there must be a member."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Name of each member to its size in bytes."""

    def read(self, name: str) -> bytes:
        """Read the member whole; BundleError where its size is not the one stated."""


@contextlib.contextmanager
def open_members(path: str | os.PathLike[str]) -> Iterator[Members]:
    """Open the bundle at `path`.

    Parameters
    ----------
    path
        The bundle file, the folder that holds it as ``wts.h5.zip``, or a folder of its unpacked
        members. A folder that has both gives the file.

    Yields
    ------
    Members
        Names and sizes, already checked; the bytes on request.

    Raises
    ------
    BundleError
        There is no bundle, or it holds what no bundle may: see :func:`check_names` and
        :func:`check_size`.
    """
    place = _find(Path(path))
    if place.is_dir():
        yield _open_folder(place)
        return
    try:
        archive = zipfile.ZipFile(place)
    except OSError as error:
        raise BundleError(place, f"cannot be read ({error.strerror or error})") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        problem = f"not a bundle, or cut short: not a readable ZIP file ({error})"
        raise BundleError(place, problem) from error
    with archive:
        yield _open_zip(place, archive)


def _find(path: Path) -> Path:
    """Name the file, or the folder of unpacked members, that `path` means."""
    try:
        if path.is_dir() and (path / BUNDLE_NAME).is_file():
            return path / BUNDLE_NAME
        if path.is_dir() or path.is_file():
            return path
    except OSError as error:
        raise BundleError(path, f"cannot be read ({error.strerror or error})") from error
    raise BundleError(path, f"no such bundle; give a {BUNDLE_NAME} or the folder it is in")


def check_names(path: Path, names: list[str]) -> None:
    """Refuse names that lead out of a folder, doubles, and a flood of them.

    Raises
    ------
    BundleError
        Naming the first offender.
    """
    if len(names) > MAX_MEMBERS:
        raise BundleError(path, f"holds {len(names)} members, a bundle has at most {MAX_MEMBERS}")
    seen: set[str] = set()
    for name in names:
        if not _is_safe(name):
            raise BundleError(path, f"unsafe member path {name!r}: members stay in their folder")
        # Case folded: two names that are one file where the file system ignores case.
        if name.casefold() in seen:
            raise BundleError(path, f"member {name!r} is there twice")
        seen.add(name.casefold())


def check_size(path: Path, name: str, size: int, stored: int) -> None:
    """Refuse a member of `size` bytes, `stored` of them in the file, that would inflate absurdly.

    Raises
    ------
    BundleError
        The member is larger than its kind may be, or compressed more than any model is.
    """
    limit = MEMBER_LIMITS.get(name, OTHER_LIMIT)
    if size > limit:
        raise BundleError(path, f"member {name!r} states {size} bytes, the limit is {limit}")
    if size > INFLATION_FLOOR and size > MAX_INFLATION * stored:
        raise BundleError(path, f"member {name!r} would inflate from {stored} to {size} bytes")


def old_models(names: Iterable[str]) -> str | None:
    """Say what is wrong where names tell of the pickled models of an older system, else None."""
    if any(name.endswith((".dill", ".pkl", ".pickle")) for name in names):
        return "holds pickled models of an older system, which are never opened; train again"
    return None


def _is_safe(name: str) -> bool:
    """Whether a name stays in its folder on every system; a folder's own entry ends in '/'."""
    parts = name.removesuffix("/").split("/")
    return (
        len(name) <= 255
        and name.isprintable()
        and not set('\\:*?"<>|') & set(name)
        and all(part.strip(" .") for part in parts)
    )


@frozen
class _ZipMembers:
    path: Path
    archive: zipfile.ZipFile
    sizes: Mapping[str, int]
    complete: bool = True

    def read(self, name: str) -> bytes:
        try:
            with self.archive.open(name) as stream:
                # Stops at the stated size however much more the stream would give; a
                # shorter or longer stream then fails its checksum.
                data = stream.read(self.sizes[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise BundleError(self.path, f"member {name!r} is damaged ({error})") from error
        return _exactly(self, name, data)


@frozen
class _FolderMembers:
    path: Path
    sizes: Mapping[str, int]
    complete: bool = False

    def read(self, name: str) -> bytes:
        try:
            with (self.path / name).open("rb") as stream:
                data = stream.read(self.sizes[name] + 1)
        except OSError as error:
            reason = error.strerror or error
            raise BundleError(self.path, f"member {name!r} cannot be read ({reason})") from error
        return _exactly(self, name, data)


def _exactly(members: Members, name: str, data: bytes) -> bytes:
    if len(data) != members.sizes[name]:
        found = f"states {members.sizes[name]} bytes, gives {len(data)} or more"
        raise BundleError(members.path, f"member {name!r} {found}: the file is damaged")
    return data


def _open_zip(path: Path, archive: zipfile.ZipFile) -> _ZipMembers:
    infos = archive.infolist()
    # orig_filename: zipfile cuts names at a zero byte and turns the system's separators.
    check_names(path, [info.orig_filename for info in infos])
    for info in infos:
        if info.flag_bits & 0x1:
            raise BundleError(path, f"member {info.filename!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(path, f"member {info.filename!r}: unknown compression")
        check_size(path, info.filename, info.file_size, info.compress_size)
    return _ZipMembers(path, archive, {info.filename: info.file_size for info in infos})


def _open_folder(path: Path) -> _FolderMembers:
    """List the plain files; links are left out, so nothing outside the folder is ever read."""
    sizes: dict[str, int] = {}
    try:
        for entry in sorted(path.iterdir()):
            status = entry.lstat()
            if stat.S_ISREG(status.st_mode):
                sizes[entry.name] = status.st_size
    except OSError as error:
        raise BundleError(path, f"cannot be read ({error.strerror or error})") from error
    if MANIFEST not in sizes:
        missing = f"no bundle here: neither {BUNDLE_NAME} nor {MANIFEST} in the folder"
        raise BundleError(path, old_models(sizes) or missing)
    for name in MEMBER_LIMITS.keys() & sizes.keys():
        check_size(path, name, sizes[name], sizes[name])
    return _FolderMembers(path, sizes)
