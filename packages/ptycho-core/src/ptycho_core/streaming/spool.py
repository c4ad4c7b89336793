"""What has come of a stream, on disk as it comes: a process that is killed loses nothing of it.

Patterns and positions are records of fixed length that are only ever appended, each with a
checksum. What was being written when the process ended is cut off when the files are opened again.
"""

import errno
import json
import os
import shutil
import zlib
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from ptycho_config.errors import PtychoError
from ptycho_data import LazyStack, NoSpaceError, load_arrays, write_npz

__all__ = ["SPOOL_FOLDER", "PatternMeta", "Spool", "SpoolError"]

#: Folder in that of the results, during a stream.
SPOOL_FOLDER = "arrived"
_META, _PATTERNS, _POSITIONS = "stream.npz", "patterns.dat", "positions.dat"
_PLACE = np.dtype(
    [("number", "<i8"), ("x", "<f8"), ("y", "<f8"), ("in_pixels", "<u4"), ("check", "<u4")]
)
#: Bytes that are read together when files are opened again.
_BLOCK = 64 << 20
_ADVICE = "remove the folder, and begin again"

PatternMeta = dict[str, Any]
"""What is known of the patterns: texts and numbers, fit for JSON, and arrays."""


class SpoolError(PtychoError, ValueError):
    """The files of a stream are not what a stream writes."""


@define(kw_only=True, eq=False)
class Spool:
    """The files of a stream.

    Attributes
    ----------
    folder
        Where they are.
    meta
        What `begin` was given; None before that.
    """

    folder: Path
    meta: PatternMeta | None = field(default=None, init=False)
    _record: np.dtype[Any] | None = field(default=None, init=False)
    _patterns: IO[bytes] | None = field(default=None, init=False)
    _positions: IO[bytes] | None = field(default=None, init=False)
    _reading: int = field(default=-1, init=False)
    _rows: int = field(default=0, init=False)

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Make an empty one, in the place of what is there."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        spool = cls(folder=folder)
        spool._positions = (folder / _POSITIONS).open("ab")
        return spool

    def begin(self, N: int, dtype: np.dtype[Any], meta: PatternMeta) -> None:
        """Say what patterns are like, before the first."""
        arrays = {name: value for name, value in meta.items() if isinstance(value, np.ndarray)}
        stated = {name: value for name, value in meta.items() if name not in arrays}
        text = json.dumps({"N": N, "dtype": dtype.str, **stated})
        write_npz(self.folder / _META, {**arrays, "_stated": np.array(text)})
        self._start(N, dtype, meta)
        (self.folder / _PATTERNS).open("wb").close()
        self._open_patterns()

    def _start(self, N: int, dtype: np.dtype[Any], meta: PatternMeta) -> None:
        self.meta = meta
        self._record = np.dtype(
            [("number", "<i8"), ("pattern", dtype.newbyteorder("<"), (N, N)), ("check", "<u4")]
        )

    def _open_patterns(self) -> None:
        path = self.folder / _PATTERNS
        self._patterns = path.open("ab", buffering=0)
        self._reading = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @classmethod
    def reopen(cls, folder: Path) -> Self:
        """Open the files of a stream that ended somehow; damaged records at their end are cut off.

        Raises
        ------
        SpoolError
            There are none, or they are of another kind.
        """
        spool = cls(folder=folder)
        try:
            places = folder / _POSITIONS
            _cut(places, _PLACE)
            spool._positions = places.open("ab")
            if not (folder / _META).exists():
                return spool
            arrays = load_arrays(folder / _META)
            stated = json.loads(str(arrays.pop("_stated")))
            N, dtype = int(stated.pop("N")), np.dtype(str(stated.pop("dtype")))
            spool._start(N, dtype, {**stated, **arrays})
            assert spool._record is not None  # noqa: S101 - just made
            path = folder / _PATTERNS
            path.touch()
            spool._rows = _cut(path, spool._record)
            spool._open_patterns()
        except (OSError, ValueError, KeyError, TypeError) as error:  # ScanFormatError is one
            spool.close()
            text = f"{folder}: not the files of a stream ({error}); {_ADVICE}"
            raise SpoolError(text) from error
        return spool

    def __len__(self) -> int:
        """Return the number of patterns."""
        return self._rows

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the patterns."""
        assert self._record is not None  # noqa: S101 - only after `begin`
        return self._record["pattern"].base

    @property
    def N(self) -> int:  # noqa: N802 - the field's own name for it
        """Edge length of a pattern in pixels."""
        assert self._record is not None  # noqa: S101 - only after `begin`
        return int(self._record["pattern"].shape[0])

    def add_patterns(self, numbers: NDArray[np.int64], patterns: NDArray[Any]) -> NDArray[np.int64]:
        """Append patterns (k, N, N); returns their rows.

        Raises
        ------
        NoSpaceError
            The disk is full.
        """
        assert self._record is not None and self._patterns is not None  # noqa: S101, PT018
        records = np.zeros(len(numbers), self._record)
        records["number"], records["pattern"] = numbers, patterns
        _append(self._patterns, records)
        first, self._rows = self._rows, self._rows + len(numbers)
        return np.arange(first, self._rows)

    def add_positions(
        self, numbers: NDArray[np.int64], places: NDArray[np.float64], *, in_pixels: bool
    ) -> None:
        """Append positions (k, 2), in metres or pixels, as they came."""
        assert self._positions is not None  # noqa: S101 - open until `close`
        records = np.zeros(len(numbers), _PLACE)
        records["number"], records["in_pixels"] = numbers, in_pixels
        records["x"], records["y"] = places.T
        _append(self._positions, records)

    def patterns(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read patterns (k, N, N); may be called from any thread."""
        assert self._record is not None  # noqa: S101 - only after `begin`
        size = self._record.itemsize
        out = np.empty((len(rows), self.N, self.N), self.dtype)
        for index, row in enumerate(rows.tolist()):
            data = os.pread(self._reading, size, row * size)
            out[index] = np.frombuffer(data, self._record)["pattern"][0]
        return out

    def numbers(self) -> NDArray[np.int64]:
        """Return the numbers of all frames, by row."""
        if self._record is None or not self._rows:
            return np.array([], np.int64)
        mapped = np.memmap(self.folder / _PATTERNS, self._record, "r", shape=(self._rows,))
        return np.array(mapped["number"], np.int64)

    def positions(self) -> tuple[NDArray[np.int64], NDArray[np.float64], bool]:
        """Return numbers (k,) and positions (k, 2) of all that came, and if these are pixels."""
        assert self._positions is not None  # noqa: S101 - open until `close`
        self._positions.flush()
        records = np.fromfile(self.folder / _POSITIONS, _PLACE)
        places = np.stack([records["x"], records["y"]], axis=1)
        return records["number"].astype(np.int64), places, bool(records["in_pixels"].any())

    def stack(self, rows: NDArray[np.int64]) -> LazyStack:
        """Give access to patterns without reading them."""
        return LazyStack(_SpoolSource(self), rows)

    def sync(self) -> None:
        """Bring all that has come to the disk, so that a power failure loses nothing of it."""
        for file in (self._patterns, self._positions):
            if file is not None:
                file.flush()
                os.fsync(file.fileno())

    def close(self) -> None:
        """Close the files."""
        for file in (self._patterns, self._positions):
            if file is not None:
                file.close()
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1

    def remove(self) -> None:
        """Close and remove the files."""
        self.close()
        shutil.rmtree(self.folder)


class _SpoolSource:
    """Patterns of a spool, as the source of a stack."""

    def __init__(self, spool: Spool) -> None:
        self.spool, self.dtype = spool, spool.dtype
        self.shape: tuple[int, ...] = (len(spool), spool.N, spool.N)
        self.block_rows = max(1, (4 << 20) // max(1, spool.N**2 * self.dtype.itemsize))

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the patterns of these rows."""
        return self.spool.patterns(rows)


def _checksums(records: NDArray[Any]) -> NDArray[np.uint32]:
    """Return the checksum of each record, without the field for it."""
    raw = records.view(np.uint8).reshape(len(records), records.dtype.itemsize)[:, :-4]
    return np.array([zlib.crc32(one) for one in raw], np.uint32)


def _append(file: IO[bytes], records: NDArray[Any]) -> None:
    records["check"] = _checksums(records)
    data = memoryview(records.tobytes())
    try:
        while data:  # a raw file may write less than it was given
            data = data[file.write(data) :]
        file.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoSpaceError(file.name, "the disk is full") from error


def _cut(path: Path, record: np.dtype[Any]) -> int:
    """Cut off what is no whole, intact record at the end of a file; returns how many are left."""
    size = record.itemsize
    whole = path.stat().st_size // size
    intact = 0
    step = max(1, _BLOCK // size)
    while intact < whole:
        some = np.fromfile(path, record, min(step, whole - intact), offset=intact * size)
        good = _checksums(some) == some["check"]
        if not good.all():
            intact += int(np.argmin(good))
            break
        intact += len(some)
    os.truncate(path, intact * size)
    return intact
