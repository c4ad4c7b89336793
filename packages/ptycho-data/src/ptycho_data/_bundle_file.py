"""The members and the manifest of a bundle, from a ZIP file or a folder, without trust.

A bundle may come from anywhere, so each step is cheap and bounded before the next: names and sizes
are checked before any member is opened, a member is read only up to its stated size and compared
with its SHA-256 in the manifest, and nothing is ever extracted to disk.
"""

import contextlib
import hashlib
import os
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from ptycho_config.errors import MissingFileError, PtychoError, describe, sentence
from ptycho_config.text_files import parse_text

from ptycho_data._sets import MODEL_SET, read_set
from ptycho_data._untrusted import LIMITS, ZIP_DAMAGE, entry_problem

__all__ = [
    "BUNDLE_NAME",
    "FORMAT",
    "FORMAT_VERSION",
    "MEMBERS",
    "MODELS",
    "BundleError",
    "Members",
    "check_bundle",
    "open_members",
]

BUNDLE_NAME = MODEL_SET.key
MANIFEST = "manifest.json"
FORMAT = "ptycho-bundle"
FORMAT_VERSION = 1
# What calling code may ask a bundle for: patches with predicted diffraction, and patches alone.
MODELS = ("autoencoder", "diffraction_to_obj")
MEMBERS = (
    "config.json",
    "history.json",
    "probe.npy",
    "scaling.json",
    "weights.safetensors",
)


class BundleError(PtychoError, ValueError):
    """A model bundle cannot be used: what is wrong, in one line that begins with its path."""

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        self.path = Path(path)
        self.problem = problem
        super().__init__(f"{self.path}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from both parts, so that the error crosses process borders."""
        return type(self), (self.path, self.problem)


class MissingBundleError(BundleError, MissingFileError):
    """There is no bundle at this path."""


@frozen
class Members:
    """The members of a bundle: where it is, what is in it, and their bytes.

    Attributes
    ----------
    path
        The file or folder.
    sizes
        Name of each member to its size in bytes.
    complete
        Whether `sizes` lists every file there (a ZIP); a folder may hold other files.
    """

    path: Path
    sizes: Mapping[str, int]
    complete: bool
    _bytes: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """Read the member whole; BundleError where its size is not the one stated."""
        data = self._bytes(name)
        if len(data) != self.sizes[name]:
            got = f"states {self.sizes[name]} bytes, gives {len(data)} or more"
            raise BundleError(self.path, f"member {name!r} {got}: the file is damaged")
        return data


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
    ResultSetError
        The bundle does not belong to the other files of its folder.
    """
    place = _find(Path(path))
    if place.is_dir():
        yield _open_folder(place)
        return
    try:
        archive = zipfile.ZipFile(place)
    except OSError as error:
        raise BundleError(place, f"cannot be read ({error.strerror or error})") from error
    except ZIP_DAMAGE as error:
        problem = f"not a bundle, or cut short: not a readable ZIP file ({error})"
        raise BundleError(place, problem) from error
    with archive:
        yield _open_zip(place, archive)


def _find(path: Path) -> Path:
    """Return the file, or the folder of unpacked members, at `path`."""
    try:
        if path.is_dir() and (bundle := read_set(path, MODEL_SET)).is_file():
            return bundle
        if path.is_dir() or path.is_file():
            return path
    except OSError as error:
        raise BundleError(path, f"cannot be read ({error.strerror or error})") from error
    raise MissingBundleError(path, f"no such bundle; pass a {BUNDLE_NAME} or the folder it is in")


def check_names(path: Path, names: list[str]) -> None:
    """Refuse names that lead out of the folder, duplicates, and too many names.

    Raises
    ------
    BundleError
        Naming the first offender.
    """
    if len(names) > LIMITS.members:
        raise BundleError(
            path, f"holds {len(names)} members, a bundle has at most {LIMITS.members}"
        )
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
    limit = LIMITS.member_bytes.get(name, LIMITS.other_member_bytes)
    if size > limit:
        raise BundleError(path, f"member {name!r} states {size} bytes, the limit is {limit}")
    if LIMITS.member_inflates_absurdly(size, stored):
        raise BundleError(path, f"member {name!r} would inflate from {stored} to {size} bytes")


def old_models(names: Iterable[str]) -> str | None:
    """Return the problem if these are names of the pickled models of an older system, else None."""
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


def _open_zip(path: Path, archive: zipfile.ZipFile) -> Members:
    infos = archive.infolist()
    # orig_filename: zipfile cuts names at a zero byte and turns the system's separators.
    check_names(path, [info.orig_filename for info in infos])
    for info in infos:
        check_size(path, info.filename, info.file_size, info.compress_size)
        problem = entry_problem(info)
        if problem is not None:
            raise BundleError(path, sentence(f"member {info.filename!r}", *problem))
    sizes = {info.filename: info.file_size for info in infos}

    def read(name: str) -> bytes:
        try:
            with archive.open(name) as stream:
                # Stops at the stated size however much more the stream would give; a
                # shorter or longer stream then fails its checksum.
                return stream.read(sizes[name])
        except ZIP_DAMAGE as error:
            raise BundleError(path, f"member {name!r} is damaged ({error})") from error

    return Members(path, sizes, True, read)


def _open_folder(path: Path) -> Members:
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
    for name in LIMITS.member_bytes.keys() & sizes.keys():
        check_size(path, name, sizes[name], sizes[name])

    def read(name: str) -> bytes:
        try:
            with (path / name).open("rb") as stream:
                return stream.read(sizes[name] + 1)
        except OSError as error:
            reason = error.strerror or error
            raise BundleError(path, f"member {name!r} cannot be read ({reason})") from error

    return Members(path, sizes, False, read)


def check_bundle(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Check a bundle from end to end without interpreting any member but the manifest.

    Parameters
    ----------
    path
        The file, the folder that holds it, or a folder of its unpacked members.

    Returns
    -------
    dict
        The manifest: ``format``, ``format_version``, ``backend``, ``models``, ``versions``,
        ``created`` (ISO, UTC) and ``members`` (name to ``sha256`` and ``size`` in bytes).

    Raises
    ------
    BundleError
        Not a bundle, a newer format, a missing or unlisted member, wrong size or hash, an unsafe
        name, an absurd size: whichever comes first.
    """
    with open_members(path) as members:
        manifest = read_manifest(members)
        for name in manifest["members"]:
            read_member(members, manifest, name)
    return manifest


def make_manifest(
    contents: Mapping[str, bytes], *, backend: str, versions: Mapping[str, str], created: str
) -> dict[str, Any]:
    """Describe the members `contents` (name to bytes)."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "backend": backend,
        "models": list(MODELS),
        "versions": dict(versions),
        "created": created,
        "members": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in contents.items()
        },
    }


def read_manifest(members: Members) -> dict[str, Any]:
    """Read the manifest and compare its list of names and sizes with what is there.

    Raises
    ------
    BundleError
        As :func:`check_bundle`, short of the hashes.
    """
    path = members.path
    if MANIFEST not in members.sizes:
        raise BundleError(path, old_models(members.sizes) or f"not a bundle: no {MANIFEST} in it")
    manifest = parse_json(members, MANIFEST, members.read(MANIFEST))
    if manifest.get("format") != FORMAT:
        raise BundleError(path, f"not a bundle: {MANIFEST} does not state format {FORMAT!r}")
    _check_version(members, manifest.get("format_version"))
    _check_fields(members, manifest)
    listed = manifest["members"]
    check_names(path, list(listed))
    for name in sorted({*MEMBERS, *listed}):
        if name not in listed:
            raise BundleError(path, f"member {name!r} is not listed in {MANIFEST}")
        if name not in members.sizes:
            raise BundleError(path, f"member {name!r} is missing")
        _check_listed_size(members, name, listed[name])
    unlisted = members.sizes.keys() - listed.keys() - {MANIFEST}
    if members.complete and unlisted:
        raise BundleError(path, f"member {min(unlisted)!r} is not listed in {MANIFEST}")
    return manifest


def read_member(members: Members, manifest: Mapping[str, Any], name: str) -> bytes:
    """Read one member and compare its hash, before anyone interprets it.

    Raises
    ------
    BundleError
        The bytes are not those the manifest speaks of.
    """
    data = members.read(name)
    if hashlib.sha256(data).hexdigest() != manifest["members"][name]["sha256"]:
        problem = f"member {name!r} does not match its SHA-256 in {MANIFEST}: damaged or altered"
        raise BundleError(members.path, problem)
    return data


def parse_json(members: Members, name: str, data: bytes) -> dict[str, Any]:
    """Read a member that is a JSON object.

    Raises
    ------
    BundleError
        It is not.
    """
    try:
        value = parse_text(data.decode(), ".json")
    except ValueError as error:
        raise BundleError(members.path, f"member {name!r} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise BundleError(members.path, f"member {name!r} is not a JSON object")
    return value


def _check_version(members: Members, version: object) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BundleError(
            members.path, f"{MANIFEST} states no format version ({describe(version)})"
        )
    if version > FORMAT_VERSION:
        problem = (
            f"bundle format {describe(version)} is newer than {FORMAT_VERSION}, the newest known "
            "here; update ptycho-data"
        )
        raise BundleError(members.path, problem)


def _check_fields(members: Members, manifest: Mapping[str, Any]) -> None:
    kinds = {"backend": str, "models": list, "versions": dict, "created": str, "members": dict}
    for key, kind in kinds.items():
        if not isinstance(manifest.get(key), kind):
            found = type(manifest.get(key)).__name__
            problem = f"{MANIFEST}: {key!r} must be of type {kind.__name__}, found {found}"
            raise BundleError(members.path, problem)


def _check_listed_size(members: Members, name: str, entry: object) -> None:
    size = members.sizes[name]
    if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
        raise BundleError(members.path, f"{MANIFEST} states no size and SHA-256 of {name!r}")
    check_size(members.path, name, size, size)
    if entry.get("size") != size:
        problem = (
            f"member {name!r} has {size} bytes, {MANIFEST} states {describe(entry.get('size'))}"
        )
        raise BundleError(members.path, problem)
