"""Untrusted files: one table of limits, the entries of a ZIP, the header of an NPY."""

import io
import math
import struct
import warnings
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Any, ClassVar, NoReturn, Self

import numpy as np
from attrs import frozen

from ptycho_data._violations import WHOLE_FILE, MissingScanError, ScanFormatError

__all__ = ["LIMITS", "Header", "HeaderError", "UntrustedFile", "data_start", "entry_problem"]


@frozen(kw_only=True)
class Limits:
    """The most that a file may declare, scans (NPZ, HDF5) and bundles alike."""

    #: Axes of an array, and the extent of one.
    axes: int = 8
    extent: int = 1 << 62
    #: Bytes of an NPY header; NumPy writes some hundred.
    npy_header: int = 10_000
    #: Detector data compress far less than 200:1, so a large array beyond that is a bomb.
    inflation: int = 200
    inflation_floor: int = 64 << 20
    #: Deflate cannot do better than about 1032:1, so a larger claim is false.
    deflate: int = 1040
    deflate_floor: int = 1 << 20
    #: All HDF5 chunks that hold a pattern are decompressed to read it: at most this much.
    chunk: int = 256 << 20
    #: Soft links followed on the way to an HDF5 dataset, and names listed of a file.
    links: int = 8
    names: int = 200
    #: Other files that an HDF5 file may link to, and names in a group that are looked through.
    files: int = 4096
    members_of_group: int = 65536
    #: Members of a bundle, and the bytes of each; others than these have the last limit.
    members: int = 64
    member_bytes: Mapping[str, int] = MappingProxyType(
        {
            "manifest.json": 2**20,
            "config.json": 2**24,
            "scaling.json": 2**24,
            "history.json": 2**28,
            "probe.npy": 2**32,
            "weights.safetensors": 2**34,
        }
    )
    other_member_bytes: int = 2**28
    #: Bundles are saved uncompressed; weights that somebody compressed shrink to a half at best.
    member_inflation: int = 100
    member_inflation_floor: int = 2**24

    def inflates_absurdly(self, size: int, stored: int) -> bool:
        """Tell whether `stored` bytes that inflate to `size` are a decompression bomb."""
        return size > self.inflation_floor and size > self.inflation * stored

    def member_inflates_absurdly(self, size: int, stored: int) -> bool:
        """Tell the same of a member of a bundle."""
        return size > self.member_inflation_floor and size > self.member_inflation * stored


LIMITS = Limits()

#: What zipfile and zlib raise on damaged archives.
ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError,
              OverflowError, NotImplementedError, RuntimeError)  # fmt: skip

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")


def brief(error: BaseException, length: int = 80) -> str:
    """Return the first part of a message: some libraries quote the damaged bytes at length."""
    return " ".join(str(error).split())[:length] or type(error).__name__


class UntrustedFile(ABC):
    """A regular file of one kind; use it in a ``with`` statement.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ScanFormatError
        If it is no regular file; a MissingScanError if there is none.
    """

    KIND: ClassVar[str]
    """Name of an intact file of this kind in messages."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        require_file(self.path, self.KIND)

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; stacks made from it stay valid."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the file; stacks made from it stay valid."""

    def _fail(self, key: str, rule: str, got: str, advice: str = "") -> NoReturn:
        raise ScanFormatError.of(self.path, key, rule, got, advice) from None


def require_file(path: Path, kind: str) -> None:
    """Raise a ScanFormatError unless there is a regular file, a MissingScanError for none."""
    if path.is_file():
        return
    if path.exists():
        raise ScanFormatError.of(path, WHOLE_FILE, kind, "something that is not a regular file")
    raise MissingScanError.of(path, WHOLE_FILE, kind, "no such file")


def entry_problem(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Check a ZIP entry before anything is inflated.

    Returns
    -------
    tuple of str or None
        Broken rule and received value; None for an entry that may be read.
    """
    packed, size = info.compress_size, info.file_size
    if info.flag_bits & 0x1:
        return "unencrypted", "an encrypted member"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "stored or deflated", f"compression method {info.compress_type}"
    if info.compress_type == zipfile.ZIP_STORED and packed != size:
        return (
            "undamaged, stored and declared size equal",
            f"{packed} stored bytes declared as {size}",
        )
    if size > packed * LIMITS.deflate + LIMITS.deflate_floor:
        return "of a possible size", f"{packed} bytes declared to inflate to {size}"
    if LIMITS.inflates_absurdly(size, packed):
        got = f"{packed} bytes that would inflate to {size} (a decompression bomb?)"
        return "stored uncompressed where it is that large", got
    return None


def data_start(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return the position of an entry's first byte in the archive, from its local header."""
    file.seek(info.header_offset)
    fields = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return int(info.header_offset + _LOCAL_HEADER.size + fields[-2] + fields[-1])


#: The record at the end of a directory; a comment of up to 64 KiB may follow it.
_END = struct.Struct("<4s4x2xH8xH")
_END_SIGNATURE = b"PK\x05\x06"


def counted_entries(file: IO[bytes]) -> int | None:
    """Return how many entries an archive says that it has; None for more than it can say."""
    size = file.seek(0, io.SEEK_END)
    file.seek(size - _END.size)
    signature, count, comment = _END.unpack(file.read(_END.size))
    if signature != _END_SIGNATURE or comment:
        file.seek(max(0, size - _END.size - 0xFFFF))
        end = file.read()
        _, count, _ = _END.unpack_from(end, end.rfind(_END_SIGNATURE))
    return None if count == 0xFFFF else int(count)


def local_name(file: IO[bytes], info: zipfile.ZipInfo) -> bytes:
    """Return the name of an entry as it stands before its content; the directory has a copy."""
    file.seek(info.header_offset)
    fields = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return file.read(fields[-2])


@frozen(kw_only=True)
class Header:
    """Shape and type of an array that has not been read.

    Attributes
    ----------
    shape, dtype
        Of the array.
    fortran
        Whether the first axis varies fastest.
    size
        Bytes of an NPY file before the first array element.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool = False
    size: int = 0

    @property
    def nbytes(self) -> int:
        """Declared bytes of the array, as an integer without overflow."""
        return math.prod(self.shape) * self.dtype.itemsize

    def describe(self) -> str:
        """Return dtype and shape in words for a message."""
        return f"{self.dtype} {self.shape}"


class HeaderError(Exception):
    """An NPY header that cannot be accepted: broken rule and received value."""

    def __init__(self, rule: str, got: str) -> None:
        super().__init__(f"must be {rule}, got {got}")
        self.rule, self.got = rule, got


def read_header(stream: IO[bytes]) -> Header:
    """Read the header at the start of an NPY stream (format versions 1.0 and 2.0).

    Parameters
    ----------
    stream
        Positioned at the first byte; hardly more than 10 kB are read.

    Returns
    -------
    Header
        Only numbers, booleans and strings are accepted.

    Raises
    ------
    HeaderError
        If it is no such header.
    """
    # NumPy reads as many bytes as the header declares before it compares them with its limit.
    start = io.BytesIO(stream.read(LIMITS.npy_header + 12))
    try:
        version = np.lib.format.read_magic(start)
        read = {(1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0}[version]  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged text may hold invalid escapes
            shape, fortran, dtype = read(start, max_header_size=LIMITS.npy_header)
    except Exception as error:  # NumPy documents ValueError; damaged headers raise others, too
        raise HeaderError("an array written by numpy.savez", f"no NPY header that can be read "
                          f"({brief(error)})") from None  # fmt: skip
    if dtype.hasobject:
        raise HeaderError("numbers or strings", f"dtype {dtype} (objects are never unpickled)")
    if dtype.kind not in "biufcSU":
        raise HeaderError("numbers or strings", f"dtype {str(dtype)[:60]}")
    check_extents(shape)
    return Header(shape=shape, dtype=dtype, fortran=fortran, size=start.tell())


def check_extents(shape: tuple[int, ...] | None) -> None:
    """Raise a HeaderError for a shape that no array has."""
    if (
        shape is None
        or len(shape) > LIMITS.axes
        or not all(type(k) is int and 0 <= k <= LIMITS.extent for k in shape)
    ):
        raise HeaderError("of a possible shape", f"shape {str(shape)[:60]}")
