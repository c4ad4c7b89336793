"""Files that appear complete or not at all.

Every writer of this package goes through :func:`atomic_path`: the bytes are written to a temporary
file in the folder of the target, flushed to disk, and only then given the target's name. A process
killed at any moment leaves the old file or the new one, never a part of either. The temporary file
of a killed process stays behind under a hidden name; the first writer that uses the folder a day
later removes it.

:func:`write_npz` and :func:`write_json` give the same bytes for the same content, so that a hash of
an output says whether a result changed.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from ptycho_config.errors import InvalidValueError, PtychoError

from ptycho_data._stack import LazyStack, Stack, chunk_rows

__all__ = [
    "OutputExistsError",
    "atomic_path",
    "file_sha256",
    "json_bytes",
    "jsonable",
    "refuse_existing",
    "write_json",
    "write_npz",
]

# The earliest time a ZIP can state: members carry no clock, equal content gives equal bytes.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
# Temporary files older than this belong to runs that were killed.
LEFTOVER_AGE_S = 24 * 3600
_TEMPORARY_NAME = re.compile(r"\.ptycho-[0-9a-f]{16}(\..*)?", re.DOTALL)
# What a file system answers when there is no room for the bytes.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What a file system answers when it knows no hard links (FAT, some network and FUSE mounts).
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as a hexadecimal string."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class OutputExistsError(PtychoError, FileExistsError):
    """The output is there already and overwriting was not asked for."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        super().__init__(
            f"{self.path}: exists already; pass --overwrite (overwrite=True) to replace it"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the path, so that the error crosses process borders."""
        return type(self), (self.path,)


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


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, and move it to `path` when the block ends well.

    The temporary file lies in the folder of `path` (a rename is atomic within one file system only)
    and keeps its suffix, for writers that look at it. Its content is flushed to disk before the
    move, the folder after it. When the block raises, the temporary file is removed and `path`
    stays as it was.

    Parameters
    ----------
    path
        The file to write. Its folder is made if missing.
    overwrite
        Replace an existing file. Without it an existing file is never touched, not even one that
        appears while the block runs.

    Yields
    ------
    Path
        An empty file to write to.

    Raises
    ------
    OutputExistsError
        `path` exists and `overwrite` is not set; checked before the block and again after it.
    OSError
        `path` is a folder, or its folder cannot be made or written to (PermissionError where that
        is the cause). A full disk is reported with `path` as the file.
    """
    target = Path(path)
    if os.path.isdir(target):  # noqa: PTH112 - Path.is_dir raises where it may not look
        raise IsADirectoryError(f"{target}: is a folder, not a file; name the output file in it")
    if not overwrite:
        refuse_existing([target])
    temporary = _create_temporary(target)
    try:
        yield temporary
        _flush(temporary)
        _publish(temporary, target, overwrite=overwrite)
    except OSError as error:
        # What failed while writing says nothing, or names a file that is not there any more.
        if error.errno is not None and (
            error.errno in _NO_ROOM or error.filename in (str(temporary), temporary)
        ):
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(target.parent)


def _create_temporary(target: Path) -> Path:
    """Make the folder and, in it, an empty file of a new name; the umask sets its permissions."""
    folder = target.parent
    # A hidden name of fixed length: the target's own name may be as long as the file system allows.
    temporary = folder / f".ptycho-{secrets.token_hex(8)}{target.suffix}"
    if os.path.lexists(folder) and not os.path.isdir(folder):  # noqa: PTH112 - as above
        raise NotADirectoryError(f"{folder}: is not a folder; choose another output folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        # type(error) keeps PermissionError and friends; one argument alone keeps the message plain.
        reason = error.strerror or str(error)
        raise type(error)(
            f"{folder}: cannot write into this folder ({reason}); choose another output folder"
        ) from error
    _remove_leftovers(temporary)
    return temporary


def _remove_leftovers(temporary: Path) -> None:
    """Remove old temporary files beside a new one; its time is that of the same clock."""
    with contextlib.suppress(OSError), os.scandir(temporary.parent) as entries:
        limit = temporary.stat().st_mtime - LEFTOVER_AGE_S
        for entry in entries:
            ours = _TEMPORARY_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            if ours and entry.stat(follow_symlinks=False).st_mtime < limit:
                with contextlib.suppress(OSError):  # another writer was faster
                    Path(entry.path).unlink()


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


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Flush the folder's entry for the new name, where the system can do that (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: str | os.PathLike[str], obj: object, overwrite: bool = False) -> Path:
    """Write `obj` as JSON, atomically.

    Keys keep their order (a report is read by people), indented by two, UTF-8, newline at the end.
    NumPy scalars and arrays, paths, tuples and sets of strings are accepted. Numbers that JSON does
    not know (NaN, inf) become ``null``: a metric that does not exist, in a file every reader opens.

    Parameters
    ----------
    path
        The file to write.
    obj
        The content.
    overwrite
        Replace an existing file.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    TypeError
        `obj` holds something that has no form in JSON.
    OutputExistsError, OSError
        As :func:`atomic_path`.
    """
    data = json_bytes(obj)
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def write_npz(
    path: str | os.PathLike[str],
    arrays: Mapping[str, npt.ArrayLike | LazyStack],
    *,
    overwrite: bool = False,
    compress: bool = False,
) -> Path:
    """Write an NPZ file, atomically, with the same bytes for the same content.

    The members keep the order of `arrays` and carry a fixed time. Arrays are written in pieces:
    a memory-mapped stack larger than memory is fine. Non-contiguous arrays are written in C order.

    Parameters
    ----------
    path
        The file to write; the name is taken as it is, no ``.npz`` is added.
    arrays
        Member name to array, any shape and dtype but object arrays.
    overwrite
        Replace an existing file.
    compress
        Deflate the members. Counts shrink to a fraction; complex fields hardly.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InvalidValueError
        An array holds Python objects, which could be read by unpickling only.
    OutputExistsError, OSError
        As :func:`atomic_path`.
    """
    values = {name: _as_array(value) for name, value in arrays.items()}
    for name, value in values.items():
        if value.dtype.hasobject:
            raise InvalidValueError(f"{path}: {name}", "numbers or strings", "Python objects")
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with (
        atomic_path(path, overwrite=overwrite) as temporary,
        zipfile.ZipFile(temporary, "w", method) as archive,
    ):
        for name, value in values.items():
            # The size is not known beforehand to the ZIP writer: leave room for more than 4 GiB.
            with archive.open(zip_member(f"{name}.npy", method), "w", force_zip64=True) as stream:
                write_npy(stream, value)
    return Path(path)


def zip_member(name: str, method: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    """Make a ZIP entry that depends on its name alone: fixed time, mode and system of origin."""
    info = zipfile.ZipInfo(name, date_time=ZIP_EPOCH)
    info.compress_type = method
    info.create_system = 3  # Unix, also when written on Windows
    info.external_attr = 0o100644 << 16
    return info


def _as_array(value: npt.ArrayLike | LazyStack) -> Stack:
    return value if isinstance(value, LazyStack) else np.asarray(value)


def write_npy(stream: IO[bytes], array: Stack) -> None:
    """Write `array` to `stream` in NPY format, C order, in pieces of some MiB.

    :func:`numpy.save` writes Fortran order where it finds it; here equal arrays give equal bytes.
    """
    header = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    }
    np.lib.format.write_array_header_1_0(stream, header)
    for piece in _pieces(array):
        # reshape(-1): a zero-dimensional array has bytes, too, but no memory view to cast.
        stream.write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)


def _pieces(array: Stack) -> Iterator[npt.NDArray[Any]]:
    """Cut along the axes, first one first, until a piece is small; empty arrays give nothing."""
    if isinstance(array, np.ndarray) and array.ndim == 0:
        yield array
        return
    for rows in chunk_rows(array) if array.nbytes else ():
        piece = array[rows]
        if len(piece) == 1 and piece.ndim > 1:
            yield from _pieces(piece[0])
        else:
            yield piece


def json_bytes(obj: object, *, sort_keys: bool = False) -> bytes:
    """Turn `obj` into the bytes :func:`write_json` writes."""
    text = json.dumps(
        jsonable(obj), indent=2, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False
    )
    # A file name that is not UTF-8 holds lone surrogates; written as \udcXX they are JSON, too.
    return (text + "\n").encode(errors="backslashreplace")


def jsonable(obj: object) -> Any:
    """Turn `obj` into the types JSON knows; see :func:`write_json` for what is accepted."""
    if obj is None or isinstance(obj, bool | int | str):
        return obj
    if isinstance(obj, float):
        return obj if np.isfinite(obj) else None
    if isinstance(obj, np.generic | np.ndarray):
        return _from_numpy(obj)
    if isinstance(obj, os.PathLike):
        return os.fspath(obj)
    if isinstance(obj, Mapping):
        return {str(key): jsonable(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [jsonable(value) for value in obj]
    if isinstance(obj, set | frozenset):
        return sorted(jsonable(value) for value in obj)
    raise TypeError(f"{type(obj).__name__} has no form in JSON; convert it before writing")


def _from_numpy(value: np.generic | npt.NDArray[Any]) -> Any:
    # By kind: tolist() would turn times into plain counts of nanoseconds, silently.
    if value.dtype.kind not in "biufU":
        raise TypeError(f"dtype {value.dtype} has no form in JSON; convert it before writing")
    return jsonable(value.tolist())
