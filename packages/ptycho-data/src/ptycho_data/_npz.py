"""NPZ archives from untrusted sources.

NumPy's own reader trusts the header of a member: one that declares terabytes makes it allocate
terabytes. Here the zip entry, the name, the ``.npy`` header and the sizes are compared with
each other before any memory is taken, and nothing is ever unpickled. Members that are stored
uncompressed can be memory-mapped in place, so a stack larger than memory is never read whole.
"""

import ast
import math
import re
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from os import PathLike
from typing import IO, Any, ClassVar

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_data._contract import WHOLE_FILE, ScanFormatError, Violation
from ptycho_data._untrusted import DistrustedFile, data_start, entry_problem

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4}
_MAX_LENGTH = 10_000
_MAX_AXES = 8
_MAX_EXTENT = 1 << 62
# Numbers, booleans and strings; no objects (pickle), no records, no sub-arrays.
_PLAIN_DTYPE = re.compile(r"[<>|=]?[?biufcSU][0-9]*")


class NpyHeaderError(Exception):
    """A header that cannot be accepted.

    Parameters
    ----------
    found, expected
        The two halves of the complaint.
    """

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.found = found
        self.expected = expected


@frozen(kw_only=True)
class NpyHeader:
    """What a ``.npy`` header declares.

    Attributes
    ----------
    shape, dtype
        Of the array.
    fortran
        Whether the first axis varies fastest.
    size
        Bytes before the first array element.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    size: int

    @property
    def nbytes(self) -> int:
        """Bytes of the array, as an integer without overflow."""
        return math.prod(self.shape) * self.dtype.itemsize

    def describe(self) -> str:
        """Return dtype and shape in words for a message."""
        return f"{self.dtype} {self.shape}"


def read_header(stream: IO[bytes]) -> NpyHeader:
    """Read the header at the start of a ``.npy`` stream (format versions 1.0 and 2.0).

    Parameters
    ----------
    stream
        Positioned at the first byte; at most 10 kB are read.

    Returns
    -------
    NpyHeader
        What it declares; only numbers, booleans and strings are accepted.

    Raises
    ------
    NpyHeaderError
        If it is no such header.
    """
    magic = stream.read(8)
    width = _LENGTH_BYTES.get(magic[6:])
    if magic[:6] != _MAGIC or width is None:
        raise NpyHeaderError("no .npy header", "an array written by numpy.savez")
    length = int.from_bytes(stream.read(width), "little")
    if length > _MAX_LENGTH:
        raise NpyHeaderError(f"a .npy header of {length} bytes", f"at most {_MAX_LENGTH}")
    shape, descr, fortran = _parse(stream.read(length))
    size = len(magic) + width + length
    return NpyHeader(shape=shape, dtype=_plain_dtype(descr), fortran=fortran, size=size)


def _parse(text: bytes) -> tuple[tuple[int, ...], object, bool]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged text may hold invalid escapes
            content = ast.literal_eval(text.decode("latin-1").strip())
        shape, descr, fortran = content["shape"], content["descr"], content["fortran_order"]
    except (ValueError, TypeError, KeyError, SyntaxError, MemoryError, RecursionError):
        raise NpyHeaderError(
            "an unreadable .npy header", "shape, descr and fortran_order"
        ) from None
    plain = (
        isinstance(shape, tuple)
        and len(shape) <= _MAX_AXES
        and all(type(extent) is int and 0 <= extent <= _MAX_EXTENT for extent in shape)
        and isinstance(fortran, bool)
    )
    if not plain:
        raise NpyHeaderError("an impossible shape or order in the .npy header", "a real shape")
    return shape, descr, fortran


def _plain_dtype(descr: object) -> np.dtype[Any]:
    if isinstance(descr, str) and _PLAIN_DTYPE.fullmatch(descr):
        try:
            return np.dtype(descr)
        except (TypeError, ValueError):
            pass
    shown = repr(descr)[:60]
    hint = " (pickled objects are never loaded)" if "O" in shown else ""
    raise NpyHeaderError(f"dtype {shown}{hint}", "plain numbers or strings")


_BLOCK = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError,
           OverflowError, NotImplementedError, RuntimeError)  # fmt: skip


def _brief(error: BaseException) -> str:
    """First part of a message: some of zipfile quote the damaged bytes at length."""
    return " ".join(str(error).split())[:80]


def _damaged(error: BaseException) -> tuple[str, str]:
    return f"a damaged zip member ({_brief(error)})", "an undamaged .npy member"


@frozen(kw_only=True)
class Member:
    """One array of an archive, described and not yet read.

    Attributes
    ----------
    name
        Key of the array (the member's name without ``.npy``).
    header
        Shape, dtype and memory order.
    info
        The zip entry.
    offset
        Position of the array's first byte in the file; None if the member is compressed.
    """

    name: str
    header: NpyHeader
    info: zipfile.ZipInfo
    offset: int | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the array."""
        return self.header.dtype


class Archive(DistrustedFile):
    """An NPZ file opened for distrustful reading; use it in a ``with`` statement.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    names : tuple of str
        Keys of all arrays, in the order of the file.

    Raises
    ------
    ScanFormatError
        If the file is missing, unreadable or not an intact zip archive.
    """

    KIND: ClassVar[str] = "an NPZ file"

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__(path)
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            self._fail(WHOLE_FILE, f"a file that cannot be read ({error.strerror})", self.KIND)
        try:
            self._zip = zipfile.ZipFile(self._file)
        except _DAMAGE as error:
            self._file.close()
            found = f"no intact zip archive ({_brief(error)})"
            self._fail(WHOLE_FILE, found, "an NPZ file, complete and undamaged")
        self._size = self.path.stat().st_size
        names = [i.filename[:-4] for i in self._zip.infolist() if i.filename.endswith(".npy")]
        self._copies = Counter(names)
        self.names: tuple[str, ...] = tuple(self._copies)

    def close(self) -> None:
        """Close the file; memory maps made from it stay valid."""
        self._zip.close()
        self._file.close()

    def __contains__(self, name: str) -> bool:
        """Tell whether there is an array of this name."""
        return name in self._copies

    def member(self, name: str) -> Member:
        """Describe one array after checking that its sizes are true.

        Parameters
        ----------
        name
            A key out of `names`.

        Returns
        -------
        Member
            Shape, dtype and place of the array.

        Raises
        ------
        ScanFormatError
            If the name is absent or occurs twice, the zip entry is damaged, encrypted or
            compressed by an unusual method, the header is malformed, the dtype needs pickle, or
            declared and real sizes differ.
        """
        if self._copies[name] != 1:
            found = f"{self._copies[name]} arrays of this name"
            self._fail(name, found, f"exactly one (the file holds: {', '.join(self.names)})")
        info = self._zip.getinfo(f"{name}.npy")
        problem = entry_problem(info)
        if problem is not None:
            self._fail(name, *problem)
        try:
            with self._zip.open(info) as stream:
                header = read_header(stream)
            start = data_start(self._file, info)
        except NpyHeaderError as error:
            self._fail(name, error.found, error.expected)
        except _DAMAGE as error:
            self._fail(name, *_damaged(error))
        real = info.file_size - header.size
        if header.nbytes != real:
            found = f"a header that declares {header.nbytes} bytes ({header.describe()})"
            self._fail(name, found, f"the {real} bytes that the member holds")
        if start + info.compress_size > self._size:
            self._fail(name, "a member that runs past the end of the file", "a complete file")
        stored = info.compress_type == zipfile.ZIP_STORED
        offset = start + header.size if stored else None
        return Member(name=name, header=header, info=info, offset=offset)

    def header(self, name: str) -> NpyHeader:
        """Describe one array; see `member`."""
        return self.member(name).header

    def read(self, member: Member | str) -> NDArray[Any]:
        """Read one array into memory; the archive's CRC-32 is checked on the way.

        Parameters
        ----------
        member
            From `member`, or a name.

        Returns
        -------
        ndarray
            The array, in its stored dtype.

        Raises
        ------
        ScanFormatError
            If the member is damaged, or does not fit in memory.
        """
        member = self.member(member) if isinstance(member, str) else member
        header = member.header
        try:
            raw = np.empty(header.nbytes, np.uint8)
        except MemoryError:
            found = f"a compressed array of {header.nbytes} bytes, more than the memory"
            self._fail(member.name, found, "an uncompressed one (numpy.savez), which can be mapped")
        try:
            with self._zip.open(member.info) as stream:
                stream.read(header.size)
                for start in range(0, header.nbytes, _BLOCK):
                    block = stream.read(min(_BLOCK, header.nbytes - start))
                    raw[start : start + len(block)] = np.frombuffer(block, np.uint8)
        except _DAMAGE as error:
            self._fail(member.name, *_damaged(error))
        if not header.nbytes:
            return np.zeros(header.shape, header.dtype)
        flat: NDArray[Any] = raw.view(header.dtype)
        return flat.reshape(header.shape, order="F" if header.fortran else "C")

    def number(self, name: str) -> float | None:
        """Read a single number.

        Returns
        -------
        float or None
            None where there is no such array.

        Raises
        ------
        ScanFormatError
            If it is there and no single number.
        """
        if name not in self:
            return None
        member = self.member(name)
        if member.shape not in ((), (1,)) or member.dtype.kind not in "biuf":
            self._fail(name, member.header.describe(), "one number")
        return float(self.read(member).reshape(()))

    def stack(self, name: str) -> NDArray[Any]:
        """Map a stack of patterns if it is stored uncompressed, otherwise read it.

        Raises
        ------
        ScanFormatError
            If it is missing, damaged, or does not have three axes.
        """
        member = self.member(name)
        if len(member.shape) != 3 or 0 in member.shape:
            expected = "a stack of three axes, none of them 0"
            self._fail(name, member.header.describe(), expected)
        return self.map(member)[0]

    def map(self, member: Member) -> tuple[NDArray[Any], int | None]:
        """Map one array read-only if it is stored uncompressed, otherwise read it.

        Parameters
        ----------
        member
            From `member`.

        Returns
        -------
        array : ndarray or memmap
            The array, in its stored dtype.
        crc : int or None
            CRC-32 of the ``.npy`` header when mapped: continued over the array's bytes in file
            order it must reach ``member.info.CRC``. None when read, hence already checked.
        """
        header = member.header
        if member.offset is None or not header.nbytes:
            return self.read(member), None
        self._file.seek(member.offset - header.size)
        crc = zlib.crc32(self._file.read(header.size))
        # Mapped in file order, since a Fortran array is the transpose of a C array.
        shape = header.shape[::-1] if header.fortran else header.shape
        mapped = np.memmap(
            self._file, dtype=header.dtype, mode="r", offset=member.offset, shape=shape
        )
        return (mapped.T if header.fortran else mapped), crc


def load_arrays(
    path: str | PathLike[str], names: Iterable[str], *, optional: Iterable[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read single arrays of an NPZ file into memory, with every size checked first.

    Parameters
    ----------
    path
        An NPZ file; it need not be a scan.
    names
        Keys that must be there.
    optional
        Keys that are read if they are there.

    Returns
    -------
    dict
        Key to array, in the stored dtypes.

    Raises
    ------
    ScanFormatError
        If the file cannot be read, or any of the arrays is missing or malformed; all of them
        are listed.
    """
    arrays: dict[str, NDArray[Any]] = {}
    violations: list[Violation] = []
    with Archive(path) as archive:
        for name in [*names, *(name for name in optional if name in archive.names)]:
            try:
                arrays[name] = archive.read(archive.member(name))
            except ScanFormatError as error:
                violations.extend(error.violations)
    if violations:
        raise ScanFormatError(violations)
    return arrays
