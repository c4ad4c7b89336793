"""NPZ archives from untrusted sources.

NumPy's own reader trusts the header of a member: one that declares terabytes makes it allocate
terabytes. Here the zip entry, the name, the ``.npy`` header and the sizes are compared with
each other before any memory is taken, and nothing is ever unpickled. Members that are stored
uncompressed can be memory-mapped in place, so a stack larger than memory is never read whole.
"""

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from os import PathLike
from typing import Any, ClassVar, NoReturn

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_data._contract import raster_advice
from ptycho_data._mapped import Stamp, map_file
from ptycho_data._untrusted import (
    ZIP_DAMAGE,
    Header,
    HeaderError,
    UntrustedFile,
    brief,
    counted_entries,
    data_start,
    entry_problem,
    local_name,
    read_header,
)
from ptycho_data._violations import WHOLE_FILE, ScanFormatError, Violation

__all__ = ["Archive", "Member", "load_arrays"]

_BLOCK = 1 << 20
#: Members whose names are compared; scans have a dozen.
_NAMES = 1000


@frozen(kw_only=True)
class Member(Header):
    """One array of an archive, described and not yet read.

    Attributes
    ----------
    name
        Key of the array (the member's name without ``.npy``).
    info
        The zip entry.
    offset
        Position of the array's first byte in the file; None if the member is compressed.
    """

    name: str
    info: zipfile.ZipInfo
    offset: int | None


class Archive(UntrustedFile):
    """An NPZ file; use it in a ``with`` statement.

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

    KIND: ClassVar[str] = "an NPZ file, complete and undamaged"

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__(path)
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            self._fail(WHOLE_FILE, self.KIND, f"a file that cannot be read ({error.strerror})")
        try:
            self._zip = zipfile.ZipFile(self._file)
            self._check_names()
        except ScanFormatError:
            self._file.close()
            raise
        except ZIP_DAMAGE as error:
            self._file.close()
            self._fail(WHOLE_FILE, self.KIND, f"no intact zip archive ({brief(error)})")
        self._stamp = Stamp.of(self.path, self._file)
        names = [i.filename[:-4] for i in self._zip.infolist() if i.filename.endswith(".npy")]
        self._copies = Counter(names)
        self._members: dict[str, Member] = {}
        self._kept: dict[str, NDArray[Any]] = {}
        self.names: tuple[str, ...] = tuple(self._copies)

    def _check_names(self) -> None:
        """Refuse an archive with a damaged directory: arrays would silently count as absent."""
        entries = self._zip.infolist()
        if counted_entries(self._file) not in (None, len(entries)):
            self._fail(WHOLE_FILE, self.KIND, "a directory that lacks members")
        for info in entries[:_NAMES]:
            told = local_name(self._file, info)
            if told != info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437"):
                got = f"a member with two names ({info.filename[:60]!r} and {told[:60]!r})"
                self._fail(WHOLE_FILE, self.KIND, got)

    def close(self) -> None:
        """Close the file; memory maps made from it stay valid."""
        self._zip.close()
        self._file.close()

    @property
    def stamps(self) -> tuple[Stamp, ...]:
        """Of the file, as it was when it was opened."""
        return (self._stamp,)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is an array of this name."""
        return name in self._copies

    def header(self, name: str) -> Member:
        """Describe one array after checking that its sizes are true; its header is read once.

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
        if name not in self._members:
            self._members[name] = self._described(name)
        return self._members[name]

    def _described(self, name: str) -> Member:
        if self._copies[name] != 1:
            advice = f"the file holds: {', '.join(self.names)}"
            self._fail(name, "one array", f"{self._copies[name]} arrays of this name", advice)
        info = self._zip.getinfo(f"{name}.npy")
        problem = entry_problem(info)
        if problem is not None:
            self._fail(name, *problem, "rewrite the file with numpy.savez")
        try:
            with self._zip.open(info) as stream:
                header = read_header(stream)
            start = data_start(self._file, info)
        except HeaderError as error:
            self._fail(name, error.rule, error.got)
        except ZIP_DAMAGE as error:
            self._damaged(name, error)
        real, declared = info.file_size - header.size, header.nbytes
        if declared != real:
            got = f"a header that declares {declared} bytes ({header.describe()})"
            self._fail(name, f"as large as declared, {real} bytes", got)
        if start + info.compress_size > self._stamp.size:
            self._fail(name, "complete", "a member that runs past the end of the file")
        stored = info.compress_type == zipfile.ZIP_STORED
        return Member(
            name=name,
            shape=header.shape,
            dtype=header.dtype,
            fortran=header.fortran,
            size=header.size,
            info=info,
            offset=start + header.size if stored else None,
        )

    def _damaged(self, name: str, error: BaseException) -> NoReturn:
        self._fail(name, "an undamaged array", f"a damaged zip member ({brief(error)})")

    def read(self, name: str) -> NDArray[Any]:
        """Read one array into memory; the archive's CRC-32 is checked on the way.

        Parameters
        ----------
        name
            A key out of `names`.

        Returns
        -------
        ndarray
            The array, in its stored dtype.

        Raises
        ------
        ScanFormatError
            As `header`, if the member is damaged, or if it does not fit in memory.
        """
        if name in self._kept:
            return self._kept.pop(name)
        member = self.header(name)
        size = member.nbytes
        try:
            raw = np.empty(size, np.uint8)
        except MemoryError:
            got = f"a compressed array of {size} bytes, more than the memory"
            advice = "store it uncompressed (numpy.savez), so that it can be memory-mapped"
            self._fail(name, "an array that fits in memory", got, advice)
        try:
            with self._zip.open(member.info) as stream:
                stream.read(member.size)
                for start in range(0, size, _BLOCK):
                    block = stream.read(min(_BLOCK, size - start))
                    raw[start : start + len(block)] = np.frombuffer(block, np.uint8)
        except ZIP_DAMAGE as error:
            self._damaged(name, error)
        if not size:
            return np.zeros(member.shape, member.dtype)
        flat: NDArray[Any] = raw.view(member.dtype)
        return flat.reshape(member.shape, order="F" if member.fortran else "C")

    def peek(self, name: str) -> NDArray[Any]:
        """Read one array as `read` does, and keep it for the next `read`."""
        if name not in self._kept:
            self._kept[name] = self.read(name)
        return self._kept[name]

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
        member = self.header(name)
        if member.shape not in ((), (1,)) or member.dtype.kind not in "biuf":
            self._fail(name, "one number", member.describe())
        return float(self.read(name).reshape(()))

    def stack(self, name: str) -> NDArray[Any]:
        """Map a stack of patterns if it is stored uncompressed, otherwise read it.

        Raises
        ------
        ScanFormatError
            If it is missing, damaged, or does not have three axes.
        """
        member = self.header(name)
        if len(member.shape) != 3 or 0 in member.shape:
            advice = raster_advice(member.shape)
            self._fail(name, "a stack of three axes, none of them 0", member.describe(), advice)
        return self.map(name)[0]

    def map(self, name: str) -> tuple[NDArray[Any], int | None]:
        """Map one array read-only if it is stored uncompressed, otherwise read it.

        Parameters
        ----------
        name
            A key out of `names`.

        Returns
        -------
        array : ndarray or memmap
            The array, in its stored dtype.
        crc : int or None
            CRC-32 of the ``.npy`` header when mapped: continued over the array's bytes in file
            order it must reach ``header(name).info.CRC``. None when read, hence already checked.
        """
        member = self.header(name)
        if member.offset is None or not member.nbytes:
            return self.read(name), None
        self._file.seek(member.offset - member.size)
        crc = zlib.crc32(self._file.read(member.size))
        # Mapped in file order, since a Fortran array is the transpose of a C array.
        shape = member.shape[::-1] if member.fortran else member.shape
        mapped = map_file(self._file, self._stamp, member.dtype, member.offset, shape)
        return (mapped.T if member.fortran else mapped), crc


def load_arrays(
    path: str | PathLike[str], names: Iterable[str] | None = None, *, optional: Iterable[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read single arrays of an NPZ file into memory, with every size checked first.

    Parameters
    ----------
    path
        An NPZ file; it need not be a scan.
    names
        Keys that must be there; all keys of the file by default.
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
        are listed. A missing file is also a FileNotFoundError.
    """
    arrays: dict[str, NDArray[Any]] = {}
    violations: list[Violation] = []
    with Archive(path) as archive:
        wanted = archive.names if names is None else names
        for name in [*wanted, *(name for name in optional if name in archive.names)]:
            try:
                arrays[name] = archive.read(name)
            except ScanFormatError as error:
                violations.extend(error.violations)
    if violations:
        raise ScanFormatError(violations)
    return arrays
