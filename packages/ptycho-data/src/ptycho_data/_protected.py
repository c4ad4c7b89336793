"""HDF5 files whose content is protected by checksums, and what protects a file of others.

Values are stored in chunks with the Fletcher-32 filter of HDF5, which every reader checks. Single
numbers and texts have no chunks: they lie in the header of their dataset. Headers, attributes and
the index of chunks have checksums of their own from the file format of HDF5 1.10 on (2016), in
which these files are written.
"""

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from ptycho_data._hdf5_source import DAMAGE, datasets, open_file

__all__ = [
    "PATTERN_CHUNK_BYTES",
    "chunk_shape",
    "protection",
    "put",
    "put_group",
    "put_text",
    "utf8",
    "write_hdf5",
]

#: Chunks of an array, and of patterns, of which a few are read at a time.
_CHUNK_BYTES = 1 << 20
PATTERN_CHUNK_BYTES = 1 << 16
#: Datasets of a file that are looked at.
_MOST = 1000


class _Sink(io.RawIOBase):
    """A file whose first error is kept, and what is written after it dropped.

    HDF5 does not survive a disk that becomes full: it fails again as objects are released and as
    the program ends, with errors that nobody can catch, or worse.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._place = self._end = 0
        self.error: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._end)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            self._file.seek(self._place)
            while len(rest) and self.error is None:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self.error = error
        self._place += size
        self._end = max(self._end, self._place)
        return size

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        self._file.seek(self._place)
        found = self._file.readinto(view) or 0
        size = max(found, min(len(view), self._end - self._place))
        view[found:size] = bytes(size - found)
        self._place += size
        return size

    def truncate(self, size: int | None = None) -> int:
        self._end = self._place if size is None else size
        try:
            self._file.truncate(self._end)
        except OSError as error:
            self.error = self.error or error
        return self._end


def write_hdf5(path: Path, fill: Callable[[h5py.File], None]) -> None:
    """Create an HDF5 file whose headers have checksums, and fill it.

    Raises
    ------
    OSError
        The file cannot be written, because the disk is full for instance.
    """
    with path.open("w+b", buffering=0) as raw:
        sink = _Sink(raw)
        try:
            with _created(sink) as file:
                fill(file)
        except Exception:  # of HDF5, after an error that it did not see
            if sink.error is None:
                raise
        if sink.error is not None:
            raise sink.error


def _created(sink: _Sink) -> h5py.File:
    """Create the file without the time of its creation: equal content gives equal bytes."""
    access, plan = (h5py.h5p.create(kind) for kind in (h5py.h5p.FILE_ACCESS, h5py.h5p.FILE_CREATE))
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, sink)
    plan.set_obj_track_times(False)
    return h5py.File(h5py.h5f.create(repr(sink).encode(), h5py.h5f.ACC_TRUNC, plan, access))


def put_group(parent: h5py.Group, name: str) -> h5py.Group:
    """Return the group of that path; those that are missing are created without a time."""
    plan = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    plan.set_obj_track_times(False)
    for part in name.split("/"):
        if part in parent:
            parent = parent[part]
        else:
            parent = h5py.Group(h5py.h5g.create(parent.id, part.encode(), gcpl=plan))
    return parent


def chunk_shape(shape: Sequence[int], itemsize: int, most: int = _CHUNK_BYTES) -> tuple[int, ...]:
    """Return chunks of at most so many bytes, the last axes whole as far as possible."""
    chunks = list(shape)
    for axis in range(len(chunks)):
        rest = math.prod(chunks[axis + 1 :]) * itemsize
        if chunks[axis] * rest <= most:
            break
        chunks[axis] = max(1, most // rest)
    return tuple(chunks)


def put(group: h5py.Group, name: str, values: ArrayLike) -> h5py.Dataset:
    """Write an array with a checksum; a single number or a text goes into the dataset's header.

    Parameters
    ----------
    group
        Of a file that was `created`.
    name
        Path of the dataset; groups on the way are made.
    values
        Numbers, or one text, which is stored as UTF-8 of fixed length.
    """
    if isinstance(values, str):
        text = values.encode()
        values = np.array(text, h5py.string_dtype("utf-8", max(1, len(text))))
    array = np.asarray(values)
    *groups, last = name.split("/")
    parent = put_group(group, "/".join(groups)) if groups else group
    if array.ndim and array.size:
        chunks = chunk_shape(array.shape, array.dtype.itemsize)
        return parent.create_dataset(last, data=array, chunks=chunks, fletcher32=True)
    if array.ndim:  # nothing that could be damaged
        return parent.create_dataset(last, data=array)
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.COMPACT)
    plan.set_obj_track_times(False)
    space, kind = h5py.h5s.create(h5py.h5s.SCALAR), h5py.h5t.py_create(array.dtype, logical=True)
    dataset = h5py.Dataset(h5py.h5d.create(parent.id, last.encode(), kind, space, plan))
    dataset[()] = array
    return dataset


def put_text(item: Any, name: str, text: str) -> None:
    """Write a text as an attribute of fixed length: those of variable length have no checksum."""
    content = utf8(text).encode()
    item.attrs.create(name, content, dtype=h5py.string_dtype("utf-8", max(1, len(content))))


def utf8(text: str) -> str:
    """Escape what UTF-8 cannot hold: the bytes of a file name in another encoding."""
    return text.encode(errors="backslashreplace").decode()


def protection(path: Path) -> str:
    """Say in words by which checksums damage of a scan file, HDF5 or NPZ, would be noticed."""
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            return "CRC-32 of every array"
    return _of_hdf5(path)


def _of_hdf5(path: Path) -> str:
    arrays, checked = 0, 0
    try:
        with open_file(path) as file:
            for _, item in datasets(file):
                if item.shape and item.size:
                    arrays += 1
                    checked += bool(item.fletcher32)
                if arrays >= _MOST:
                    break
            headers = file.id.get_create_plist().get_version()[0] >= 2
    except DAMAGE:
        return "unknown: part of the file cannot be read, and is not listed"
    if not checked:
        return "none: damage is not noticed; ptycho convert writes files with checksums"
    if checked < arrays:
        return f"Fletcher-32 of {checked} of {arrays} arrays, none of the others"
    return "Fletcher-32 of every array, " + (
        "checksums of the headers" if headers else "none of single numbers and headers"
    )
