"""Results of several files that appear together or not at all, and are read together.

The files of a set are written to a staging folder inside the output folder, with a manifest
``SHA256SUMS``. One rename to ``.ptycho-commit`` makes them the results; only then do the old files
go and the new ones get their places, the manifest last. A writer killed before the rename leaves
the old set. One killed after it leaves a complete commit folder, and whoever reads or writes the
folder next finishes the work. Where that cannot write, it refuses the folder.
"""

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen
from ptycho_config.errors import InvalidValueError

from ptycho_data._atomic import refuse_existing, refuse_irregular
from ptycho_data._files import file_sha256
from ptycho_data._locks import FolderInUseError, folder_lock
from ptycho_data._manifest import (
    MANIFEST,
    ResultSetError,
    manifest_bytes,
    plain_name,
    read_manifest,
    verify,
)
from ptycho_data._space import need_space, telling_full_disk
from ptycho_data._staging import OWNER, flush, flush_folder, staging

__all__ = [
    "MODEL_SET",
    "RECONSTRUCTION_SET",
    "SetKind",
    "finish_commit",
    "read_set",
    "replaced_files",
    "result_set",
]

#: The complete files of a set on the way to their places.
COMMIT = ".ptycho-commit"
#: In the commit folder: the files of the old set that go.
_REMOVE = ".ptycho-remove"
#: How long readers, and writers of small sets, wait for a writer.
WAIT_S = 10.0


@frozen(kw_only=True)
class SetKind:
    """One kind of set; a folder holds one set.

    Attributes
    ----------
    title
        In words.
    key
        The file that every set of this kind has, and no other.
    files
        Others that it may have, by their names.
    folders
        Folders with files of it.
    """

    title: str
    key: str
    files: tuple[str, ...]
    folders: tuple[str, ...] = ()


RECONSTRUCTION_SET = SetKind(
    title="a reconstruction",
    key="reconstruction.npz",
    files=(
        *("product.h5", "reconstructed_amplitude.png", "reconstructed_phase.png"),
        *("metrics.json", "run.json", "half_scan_frc.png", "fitted.npz", "uncertainty.png"),
        *("report.html", "reconstructed_amplitude.tif", "reconstructed_phase.tif"),
    ),
)
MODEL_SET = SetKind(
    title="a trained model",
    key="wts.h5.zip",
    files=("metrics.json", "run.json", "report.html"),
    folders=("refined",),
)
_KINDS = (RECONSTRUCTION_SET, MODEL_SET)


def read_set(folder: str | os.PathLike[str], kind: SetKind) -> Path:
    """Check that the files of a folder belong together, and return the one that its kind is about.

    Parameters
    ----------
    folder
        The folder. A file alone, without the others of its kind, needs no manifest.
    kind
        What is looked for.

    Returns
    -------
    Path
        ``kind.key`` in the folder; it may be missing.

    Raises
    ------
    ResultSetError
        A file is missing or is not the one of the set, or there are several without a manifest, or
        an interrupted writer left work that cannot be finished from here.
    """
    target = Path(folder)
    while True:
        finish_commit(target)
        before = _manifest_or_none(target)
        try:
            _check(target, kind)
        except ResultSetError:
            if _pending(target) or _manifest_or_none(target) != before:
                continue  # a writer has just replaced the set
            raise
        return target / kind.key


def _check(folder: Path, kind: SetKind) -> None:
    hashes = read_manifest(folder)
    if not (folder / kind.key).is_file() and kind.key not in (hashes or {}):
        return
    if hashes is None:
        if others := [name for name in kind.files if os.path.lexists(folder / name)]:
            raise ResultSetError(
                f"{folder}: {kind.key} and {others[0]} without {MANIFEST}: written incompletely "
                f"or by an older version; name the file itself, {folder / kind.key}"
            )
        return
    if kind.key not in hashes:
        # one file alone in the folder of other results is as good as anywhere
        if all(name in hashes or not os.path.lexists(folder / name) for name in kind.files):
            return
        raise ResultSetError(
            f"{folder}: {kind.key} is not listed in {MANIFEST}; name the file itself, "
            f"{folder / kind.key}"
        )
    verify(folder, hashes)


def _manifest_or_none(folder: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        if (folder / MANIFEST).is_file():
            return (folder / MANIFEST).read_bytes()
    return None


def replaced_files(
    folder: str | os.PathLike[str],
    kind: SetKind | None,
    names: Iterable[str],
    *,
    overwrite: bool,
) -> set[str]:
    """Check that a set may be written, and list the files that it replaces or removes.

    Parameters
    ----------
    folder
        The output folder; it may be missing.
    kind
        Of the set; None for files without a manifest.
    names
        Files that will be written.
    overwrite
        Replace a set of the same kind. Files of another kind are never replaced.

    Raises
    ------
    OutputExistsError
        One of them, or another file of such a set, exists, and `overwrite` is not set.
    InvalidValueError
        The folder holds a set of another kind, or files of these names that belong to no set; or
        one of the files is not a regular one.
    """
    target, wanted = Path(folder), set(names)
    members = _old_members(target)
    if kind is not None:
        wanted |= {kind.key, MANIFEST}
    present = {name for name in wanted if os.path.lexists(target / name)}
    found = [other for other in _KINDS if _holds(target, other, members)]
    taken = members | {MANIFEST} if members else present if kind is not None else set()
    others = [other for other in found if other is not kind and wanted & taken]
    if others:
        what = "no other results" if kind is None else f"{kind.title} alone"
        raise InvalidValueError(
            f"{target}", f"a folder of {what}", others[0].title, "choose another output folder"
        )
    if not overwrite:
        first = kind.key if kind is not None else ""
        order = sorted(wanted, key=lambda name: (name != first, name == MANIFEST, name))
        refuse_existing(target / name for name in order)
    for name in sorted(present):
        refuse_irregular(target / name)
    if kind is None:
        return present
    if present and kind not in found:
        raise InvalidValueError(
            f"{target / min(present)}",
            f"part of {kind.title} to be replaced",
            f"a file without {kind.key} beside it",
            "move it away, or choose another output folder",
        )
    return present | members | _of_older_version(target, kind)


def _holds(folder: Path, kind: SetKind, members: set[str]) -> bool:
    """Tell whether a folder holds a set of a kind: by its manifest, which older ones lack."""
    return kind.key in members if members else (folder / kind.key).exists()


def _old_members(folder: Path) -> set[str]:
    try:
        return set(read_manifest(folder) or ())
    except ResultSetError:  # damaged: the files themselves must tell
        return set()


def _of_older_version(folder: Path, kind: SetKind) -> set[str]:
    """List files of a set by their names, which a manifest may lack."""
    found = {name for name in kind.files if (folder / name).is_file()}
    for name in kind.folders:
        place = folder / name
        if place.is_dir() and not place.is_symlink():
            found |= {f"{name}/{path.name}" for path in place.glob("*.npz") if path.is_file()}
    return found


@contextlib.contextmanager
def result_set(
    folder: str | os.PathLike[str],
    kind: SetKind | None = None,
    *,
    overwrite: bool = False,
    names: Iterable[str] = (),
    size: int = 0,
    wait_s: float = WAIT_S,
) -> Iterator[Path]:
    """Give a folder to write the files of a set to; they appear together when the block ends well.

    If it raises, or the process is killed, the old set stays as it was. The folder is locked
    meanwhile.

    Parameters
    ----------
    folder
        The output folder; made if missing. It may hold other files, which stay.
    kind
        Of the set, which gets a manifest; None for some files that belong together in a folder
        shared with others.
    overwrite
        Replace a set of the same kind. Files of the old set that the new one lacks are removed.
    names
        Files that will be written, as far as known: what cannot be replaced is refused before.
    size
        About how many bytes will be written, as far as known.
    wait_s
        How long to wait for another writer.

    Yields
    ------
    Path
        Write ``path / "metrics.json"`` for ``folder / "metrics.json"``.

    Raises
    ------
    OutputExistsError, InvalidValueError
        As `replaced_files`.
    FolderInUseError
        Another process writes to the folder.
    NoSpaceError
        Less than `size` is free, or the disk became full.
    OSError
        The folder cannot be made or written to.
    """
    target = Path(folder)
    with folder_lock(target, wait_s=wait_s):
        finish_commit(target)
        replaced_files(target, kind, names, overwrite=overwrite)
        need_space(target, size)
        with telling_full_disk(target), staging(target) as stage:
            yield stage
            written = _files_of(stage)
            if kind is not None and kind.key not in written:
                raise ValueError(f"{kind.key} was not written, the file of {kind.title}")
            old = replaced_files(target, kind, written, overwrite=overwrite)
            for name in written:
                flush(stage / name)
            if kind is not None:
                hashes = {name: file_sha256(stage / name) for name in written}
                (stage / MANIFEST).write_bytes(manifest_bytes(hashes))
                flush(stage / MANIFEST)
            gone = sorted(old - set(written) - {MANIFEST})
            (stage / _REMOVE).write_text(json.dumps(gone), "ascii")
            flush(stage / _REMOVE)
            flush_folder(stage)
            stage.rename(target / COMMIT)
            flush_folder(target)
            _roll_forward(target)


def _pending(folder: Path) -> bool:
    return os.path.lexists(folder / COMMIT)


def finish_commit(folder: str | os.PathLike[str]) -> None:
    """Finish what a killed writer had committed; every reader and writer of a folder calls it.

    Raises
    ------
    ResultSetError
        It cannot be finished from here.
    """
    target = Path(folder)
    if not _pending(target):
        return
    try:
        with folder_lock(target, wait_s=WAIT_S):
            if _pending(target):
                _roll_forward(target)
    except ResultSetError:
        raise
    except (OSError, FolderInUseError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = cause.strerror or str(error)
        raise ResultSetError(
            f"{target}: the writing of new results was interrupted and cannot be finished here "
            f"({reason}); read the folder once where it can be written to"
        ) from error


def _roll_forward(folder: Path) -> None:
    """Move complete files to their places; may be repeated after a kill at any moment."""
    commit = folder / COMMIT
    if not stat.S_ISDIR(commit.lstat().st_mode):
        raise _strange(commit)
    names, gone = _files_of(commit), _to_remove(commit)
    for name in gone:
        if name not in names and _inside(folder, name):
            with contextlib.suppress(FileNotFoundError):
                (folder / name).unlink()
            _remove_empty_parents(folder, name)
    if MANIFEST in names:
        (folder / MANIFEST).unlink(missing_ok=True)
    touched = {folder}
    for name in sorted(names, key=lambda name: (name == MANIFEST, name)):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not _inside(folder, name):
            raise _strange(commit)
        os.replace(commit / name, place)  # noqa: PTH105 - one call to stop at in tests
        touched.add(place.parent)
    for parent in touched:
        flush_folder(parent)
    shutil.rmtree(commit)


def _files_of(folder: Path) -> list[str]:
    """Names of the files in a staging or commit folder, without its own two."""
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name in (OWNER, _REMOVE) or stat.S_ISDIR(path.lstat().st_mode):
            continue
        if not stat.S_ISREG(path.lstat().st_mode) or not plain_name(name):
            raise _strange(folder)
        names.append(name)
    return names


def _to_remove(commit: Path) -> list[str]:
    path = commit / _REMOVE
    if not path.is_file() or path.is_symlink():
        if _files_of(commit):
            raise _strange(commit)
        return []  # killed while it removed the empty folder
    try:
        names = json.loads(path.read_text("ascii"))
    except ValueError:
        raise _strange(commit) from None
    if not isinstance(names, list) or not all(isinstance(n, str) and plain_name(n) for n in names):
        raise _strange(commit)
    return names


def _strange(folder: Path) -> ResultSetError:
    return ResultSetError(f"{folder} must be as ptycho writes it, got other files; remove it")


def _inside(folder: Path, name: str) -> bool:
    """Tell whether a name leads through no link out of its folder."""
    return not any(
        (folder / parent).is_symlink() for parent in Path(name).parents if parent != Path()
    )


def _remove_empty_parents(folder: Path, name: str) -> None:
    for parent in Path(name).parents:
        if parent != Path():
            try:
                (folder / parent).rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise
                return
