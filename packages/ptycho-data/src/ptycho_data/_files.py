"""JSON and NPZ, whole or not at all.

:func:`write_npz` and :func:`write_json` give the same bytes for the same content, so that a hash of
an output says whether a result changed.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from ptycho_config.errors import InvalidValueError

from ptycho_data._atomic import OutputExistsError, atomic_path, refuse_existing
from ptycho_data._space import need_space
from ptycho_data._stack import LazyStack, Stack, chunk_rows, read_patterns

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


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as a hexadecimal string."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    if not compress:
        need_space(path, sum(value.nbytes for value in values.values()))
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
        piece = read_patterns(array, rows)
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
