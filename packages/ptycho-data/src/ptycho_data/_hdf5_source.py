"""Patterns of chunked HDF5 datasets, read on demand."""

import contextlib
import math
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_data._mapped import Stamp
from ptycho_data._stack import BLOCK_BYTES
from ptycho_data._untrusted import Header, brief
from ptycho_data._violations import ScanFormatError

__all__ = ["DAMAGE", "H5RasterSource", "H5Source", "datasets", "member_names", "open_file"]

#: What h5py raises on damaged files, and on what it has no NumPy type for.
DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError,
           MemoryError, ArithmeticError)  # fmt: skip
#: Decompressed patterns kept for the next reading, and the most that is read at once for it.
_CACHE_BYTES = 64 << 20
_MAX_BLOCK_BYTES = 128 << 20


def open_file(path: Path) -> h5py.File:
    """Open a file for reading, without locks, which some file systems lack."""
    return h5py.File(path, "r", locking=False)


def member_names(group: h5py.Group) -> list[str | bytes]:
    """Return the names of the links of a group, sorted; those that are no UTF-8 as bytes.

    In the order in which they are stored: asked for any other, HDF5 1.14 builds a table of them
    and frees it twice where a checksum is wrong, which ends the process. So do `list(group)` and
    `h5py.Group.visititems`.
    """
    names: list[bytes] = []
    group.id.links.iterate(names.append, idx_type=h5py.h5.INDEX_NAME, order=h5py.h5.ITER_NATIVE)
    return [_text_or_bytes(name) for name in sorted(names)]


def _text_or_bytes(name: bytes) -> str | bytes:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name


def datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield path and dataset of all datasets of a file, following no links, each group once."""
    waiting, seen = [("", file["/"])], set()
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, h5py.Dataset):
            yield path, item
        if not isinstance(item, h5py.Group):
            continue
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:  # a circle of hard links
            continue
        seen.add(place)
        inside = []
        for name in member_names(item):
            if isinstance(item.get(name, getlink=True), h5py.HardLink):
                text = name if isinstance(name, str) else name.decode("utf-8", "replace")
                inside.append((f"{path}/{text}" if path else text, item[name]))
        waiting.extend(reversed(inside))


class H5Source:
    """Patterns of a chunked dataset; the file is open only while they are read.

    So no handle crosses a fork or is pickled, and a file that changed is noticed. Patterns that
    share their chunks are decompressed together, and the last ones kept.
    """

    def __init__(self, *, stamp: Stamp, name: str, header: Header, chunks: tuple[int, ...]) -> None:
        self.stamp = stamp
        self.name = name
        self.shape = header.shape
        self.dtype = header.dtype
        self.chunks = chunks
        pattern = max(1, header.nbytes // header.shape[0])
        #: Patterns that share their chunks.
        self.together = min(chunks[0], header.shape[0])
        self._cached = max(0, _CACHE_BYTES // (pattern * self.together))
        self._slabs: OrderedDict[int, NDArray[Any]] = OrderedDict()
        most = max(1, _MAX_BLOCK_BYTES // pattern)
        whole = max(1, BLOCK_BYTES // (pattern * self.together)) * self.together
        self.block_rows = min(whole, most)

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross process borders without what has been read."""
        header = Header(shape=self.shape, dtype=self.dtype)
        return _source_again, (self.stamp, self.name, header, self.chunks)

    @property
    def cost(self) -> int:
        """Bytes to decompress for one pattern somewhere in the stack."""
        _, *pixels = self.chunks
        covered = math.prod(-(-k // c) * c for k, c in zip(self.shape[1:], pixels, strict=True))
        return self.together * covered * self.dtype.itemsize

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the patterns of these rows."""
        alone = self.together == 1 or not self._cached
        if alone and len(rows) and (np.diff(rows) == 1).all():  # copied once, by HDF5
            with self._open() as dataset:
                read: NDArray[Any] = dataset[int(rows[0]) : int(rows[-1]) + 1]
            return read
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        if self.together > 1 and self._cached:
            self._take_together(rows, out)
        elif len(rows):
            with self._open() as dataset:
                _read_runs(dataset, rows, out)
        return out

    def take_part(self, rows: NDArray[np.int64], part: tuple[slice, slice]) -> NDArray[Any]:
        """Read some rows and columns of patterns; HDF5 copies no others."""
        if not len(rows) or not (np.diff(rows) == 1).all() or not self._whole_chunks(rows):
            return self.take(rows)[:, *part]
        with self._open() as dataset:
            read: NDArray[Any] = dataset[int(rows[0]) : int(rows[-1]) + 1, *part]
        return read

    def _whole_chunks(self, rows: NDArray[np.int64]) -> bool:
        """Whether consecutive patterns share no chunk with any other."""
        start, stop = int(rows[0]), int(rows[-1]) + 1
        return start % self.together == 0 and (stop % self.together == 0 or stop == self.shape[0])

    def _take_together(self, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Read patterns that share their chunks, the most recently used ones from memory."""
        slabs = rows // self.together
        wanted = np.unique(slabs)
        self.stamp.check()
        found = {slab: self._slabs[slab] for slab in wanted.tolist() if slab in self._slabs}
        with contextlib.ExitStack() as closing:
            dataset = None
            for slab in wanted.tolist():
                read = found.pop(slab, None)
                if read is None:
                    dataset = dataset or closing.enter_context(self._open())
                    read = dataset[slab * self.together : (slab + 1) * self.together]
                self._keep(slab, read)
                here = slabs == slab
                out[here] = read[rows[here] % self.together]

    def _keep(self, slab: int, read: NDArray[Any]) -> None:
        self._slabs.pop(slab, None)  # threads that read ahead share this
        self._slabs[slab] = read
        while len(self._slabs) > self._cached:
            self._slabs.popitem(last=False)

    @contextlib.contextmanager
    def _open(self) -> Iterator[h5py.Dataset]:
        self.stamp.check()
        try:
            with open_file(self.stamp.path) as file:
                yield file[self.name]
            self.stamp.check()
        except DAMAGE as error:
            if isinstance(error, ScanFormatError):
                raise
            got = f"what HDF5 cannot read ({brief(error, 200)})"
            raise ScanFormatError.of(self.stamp.path, self.name, "undamaged", got) from None


class H5RasterSource(H5Source):
    """Patterns of a chunked dataset with more than three axes: all but the last two count them."""

    def __init__(self, *, stamp: Stamp, name: str, header: Header, chunks: tuple[int, ...]) -> None:
        self.grid, self.grid_chunks = header.shape[:-2], chunks[:-2]
        flat = Header(shape=(math.prod(self.grid), *header.shape[-2:]), dtype=header.dtype)
        # Patterns of one row of the raster that share their chunks lie together.
        beside = chunks[-3] if self.grid[-1] % chunks[-3] == 0 else 1
        super().__init__(stamp=stamp, name=name, header=flat, chunks=(beside, *chunks[-2:]))

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross process borders without what has been read."""
        header = Header(shape=(*self.grid, *self.shape[1:]), dtype=self.dtype)
        chunks = (*self.grid_chunks, *self.chunks[1:])
        return _raster_again, (self.stamp, self.name, header, chunks)

    @property
    def cost(self) -> int:
        """Bytes to decompress for one pattern somewhere in the stack."""
        return super().cost * math.prod(self.grid_chunks) // self.together

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        with super()._open() as dataset:
            yield _Raster(dataset, self.grid)


class _Raster:
    """A dataset that is read by the number of a pattern in its raster."""

    def __init__(self, dataset: h5py.Dataset, grid: tuple[int, ...]) -> None:
        self._dataset, self._grid = dataset, grid

    def __getitem__(self, key: slice | tuple[slice, ...]) -> NDArray[Any]:
        """Read consecutive patterns, a row of the raster, or a part of it, at a time."""
        rows, *pixels = key if isinstance(key, tuple) else (key,)
        width, parts, at = self._grid[-1], [], int(rows.start)
        stop = min(int(rows.stop), math.prod(self._grid))
        while at < stop:
            *line, column = np.unravel_index(at, self._grid)
            end = min(width, int(column) + stop - at)
            parts.append(self._dataset[(*map(int, line), slice(int(column), end), *pixels)])
            at += end - int(column)
        return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _raster_again(
    stamp: Stamp, name: str, header: Header, chunks: tuple[int, ...]
) -> H5RasterSource:
    return H5RasterSource(stamp=stamp, name=name, header=header, chunks=chunks)


def _source_again(stamp: Stamp, name: str, header: Header, chunks: tuple[int, ...]) -> H5Source:
    return H5Source(stamp=stamp, name=name, header=header, chunks=chunks)


def _read_runs(dataset: h5py.Dataset, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
    """Read rows in any order, consecutive ones together: HDF5 is slow with lists of single rows."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-2) > 1)
    for start, stop in zip(starts, [*starts[1:], len(ordered)], strict=True):
        run = ordered[start:stop]
        read = dataset[run[0] : run[-1] + 1]
        out[order[start:stop]] = read[run - run[0]]
