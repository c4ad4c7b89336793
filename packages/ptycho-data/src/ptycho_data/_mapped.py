"""Arrays that lie in a file in one piece, and whether that file is still the one that was opened.

A map describes such an array; a page of a map whose file was cut short ends the process without a
word, so values are read with `read_rows` instead, which compares the file with its stamp before and
after.
"""

import itertools
import mmap
import os
from pathlib import Path
from typing import IO, Any, TypeGuard

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_data._violations import WHOLE_FILE, ScanFormatError

__all__ = ["FileMap", "MapReference", "Stamp", "is_mapped", "map_file", "map_of", "read_rows"]


@frozen(kw_only=True)
class Stamp:
    """What tells a file from every other and from its own earlier and later states.

    Attributes
    ----------
    path
        Where it was found.
    device, inode
        Which file it is: a file that replaces it under its name is another one.
    size
        In bytes.
    changed_ns, status_ns
        When its content and when its entry in the file system changed last; the second time shows
        also where a program set the first one back.
    """

    path: Path
    device: int
    inode: int
    size: int
    changed_ns: int
    status_ns: int

    @classmethod
    def of(cls, path: Path, file: IO[bytes] | None = None) -> "Stamp":
        """Take the stamp of a file, of the open one if it is given."""
        found = path.stat() if file is None else os.fstat(file.fileno())
        return cls(
            path=path,
            device=found.st_dev,
            inode=found.st_ino,
            size=found.st_size,
            changed_ns=found.st_mtime_ns,
            status_ns=found.st_ctime_ns,
        )

    def check(self, file: IO[bytes] | None = None) -> None:
        """Raise an error unless the file, or the open one, is as it was.

        Raises
        ------
        ScanFormatError
            The file is gone, another one has its name, or it changed since.
        """
        try:
            now = Stamp.of(self.path, file)
        except OSError:
            self.fail("a file that was removed since")
        if (now.device, now.inode) != (self.device, self.inode):
            self.fail("another file of this name, which replaced it since")
        if now != self:
            self.fail("a file that changed while it was read")

    def fail(self, got: str) -> None:
        """Raise the error of a file that is not as it was."""
        rule, advice = "the file that was checked", "run again once nothing writes to it"
        raise ScanFormatError.of(self.path, WHOLE_FILE, rule, got, advice) from None


class FileMap(np.memmap[Any, Any]):
    """A read-only map of a part of a file, with the stamp of the file when it was opened."""

    stamp: Stamp | None = None


def map_file(
    file: IO[bytes], stamp: Stamp, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]
) -> FileMap:
    """Map an array of an open file, read-only, in C order."""
    mapped = FileMap(file, dtype=dtype, mode="r", offset=offset, shape=shape)
    mapped.stamp = stamp
    return mapped


@frozen(kw_only=True)
class MapReference:
    """A memory-mapped array, by the place of its bytes in a file."""

    stamp: Stamp
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def open(self) -> NDArray[Any]:
        """Map the array again, read-only."""
        with self.stamp.path.open("rb") as file:
            self.stamp.check(file)
            content = map_file(file, self.stamp, np.dtype(np.uint8), 0, (self.stamp.size,))
        return np.ndarray(self.shape, self.dtype, content, self.offset, self.strides)

    @property
    def in_rows(self) -> bool:
        """Whether each item of the first axis lies together, so that it can be read alone."""
        row = np.ones(self.shape[1:], np.bool_).strides
        return (
            self.strides[1:] == tuple(step * self.dtype.itemsize for step in row)
            and self.strides[0] > 0
        )


def _base_map(array: NDArray[Any]) -> np.memmap[Any, Any] | None:
    """Return the read-only map that an array is a view of, if any."""
    base: object = array
    found: np.memmap[Any, Any] | None = None
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "r" and base.filename is not None:
            found = base
        base = base.base
    return found


def is_mapped(array: object) -> TypeGuard[NDArray[Any]]:
    """Return whether an array is a view of a read-only memory map."""
    return isinstance(array, np.ndarray) and _base_map(array) is not None


def map_of(array: NDArray[Any]) -> MapReference | None:
    """Describe a mapped array so that it can be read or mapped again; None for any other array."""
    whole = _base_map(array)
    if whole is None or whole.filename is None:
        return None
    start = array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    stamp = whole.stamp if isinstance(whole, FileMap) else None
    return MapReference(
        stamp=stamp or Stamp.of(Path(whole.filename)),
        dtype=array.dtype,
        offset=int(whole.offset) + start,
        shape=array.shape,
        strides=array.strides,
    )


def read_rows(array: NDArray[Any], rows: NDArray[np.int64] | slice | int) -> NDArray[Any]:
    """Copy items of the first axis of an array into memory, those of a map from its file.

    Where the items of a map are scattered over the file, the map itself is read, between two looks
    at the file.

    Parameters
    ----------
    array
        With at least one axis.
    rows
        Index of one item, indices of several, or a slice.

    Raises
    ------
    ScanFormatError
        The file of a map is not as it was when it was opened.
    """
    reference = map_of(array)
    if reference is None:
        return np.array(array[rows])
    with _opened(reference) as file:
        reference.stamp.check(file)
        if reference.in_rows:
            read = _read_runs(file, reference, _resolved(rows, len(array)))
            read = read[0] if isinstance(rows, int | np.integer) else read
        else:
            read = np.array(array[rows])
            release(array)
        reference.stamp.check(file)
    return read


def _resolved(rows: NDArray[np.int64] | slice | int, n: int) -> NDArray[np.int64]:
    """Return an index of ``n`` items as numbers from 0 to n - 1."""
    if isinstance(rows, slice):
        return np.arange(*rows.indices(n))
    chosen = np.atleast_1d(np.asarray(rows))
    if chosen.dtype == np.bool_:
        return np.flatnonzero(chosen)
    if chosen.size and not -n <= chosen.min() <= chosen.max() < n:
        raise IndexError(f"items {chosen.min()} to {chosen.max()} of {n}")
    return np.where(chosen < 0, chosen + n, chosen).astype(np.int64)


def _opened(reference: MapReference) -> IO[bytes]:
    try:
        return reference.stamp.path.open("rb", buffering=0)
    except OSError:
        reference.stamp.fail("a file that was removed since")
        raise


def _read_runs(file: IO[bytes], reference: MapReference, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Read items in any order, those that follow each other in one go."""
    out = np.empty((len(rows), *reference.shape[1:]), reference.dtype)
    step, item = reference.strides[0], out[:1].nbytes
    if not out.nbytes:
        return out
    content = out.reshape(-1).view(np.uint8).data
    joined = np.diff(rows) == 1 if step == item else np.zeros(max(0, len(rows) - 1), np.bool_)
    starts = [0, *(np.flatnonzero(~joined) + 1).tolist(), len(rows)]
    for start, stop in itertools.pairwise(starts):
        file.seek(reference.offset + int(rows[start]) * step)
        part = content[start * item : stop * item]
        while part:
            count = file.readinto(part)  # type: ignore[attr-defined]  # unbuffered files have it
            if not count:
                reference.stamp.fail("a file that was cut short while it was read")
            part = part[count:]
    return out


def release(array: object) -> None:
    """Give the resident pages of a read-only memory map back to the system.

    They stay in the page cache, so reading them again is cheap; but they no longer count as
    memory of this process. Nothing happens for other arrays and on systems without ``madvise``.
    """
    base: object = array
    read_only = False
    while isinstance(base, np.ndarray):
        # Pages of a copy-on-write map may hold changes, which must not be dropped.
        read_only = read_only or (isinstance(base, np.memmap) and base.mode == "r")
        base = base.base
    if read_only and isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
