"""What all readers of untrusted files share: one table of limits, and checks of ZIP entries."""

import struct
import zipfile
from abc import ABC, abstractmethod
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, NoReturn, Self

from ptycho_data._contract import WHOLE_FILE, ScanFormatError

__all__ = ["DistrustedFile", "data_start", "entry_problem"]


class DistrustedFile(ABC):
    """A file of one kind that is there; use it in a ``with`` statement.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ScanFormatError
        If it is missing, or no regular file.
    """

    KIND: ClassVar[str]
    """What a good one is called in messages."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            found = "something that is no regular file" if self.path.exists() else "no such file"
            self._fail(WHOLE_FILE, found, self.KIND)

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

    def _fail(self, key: str, found: str, expected: str) -> NoReturn:
        raise ScanFormatError.of(self.path, key, found, expected) from None


_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_SMALL = 1 << 20
# Deflate cannot do better than about 1032:1, so a larger claim is a lie; real detector data stay
# far below 200:1, so a large member beyond that is a decompression bomb.
_DEFLATE_LIMIT = 1040
_BOMB_RATIO = 200
_BOMB_BYTES = 64 << 20


def entry_problem(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Tell what is wrong with an entry that no NPZ writer produces, before anything is inflated.

    Returns
    -------
    tuple of str or None
        What was found and what was expected; None for an entry that may be read.
    """
    packed, size = info.compress_size, info.file_size
    if info.flag_bits & 0x1:
        return "an encrypted member", "an unencrypted one"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"zip compression method {info.compress_type}", "stored or deflated"
    if info.compress_type == zipfile.ZIP_STORED and packed != size:
        return f"{packed} stored bytes declared as {size}", "equal sizes"
    if size > packed * _DEFLATE_LIMIT + _SMALL:
        return f"{packed} bytes declared to inflate to {size}", "a possible size"
    if size > _BOMB_BYTES and size > packed * _BOMB_RATIO:
        found = f"{packed} bytes that inflate to {size} (a decompression bomb?)"
        return found, "an uncompressed array: rewrite it with numpy.savez"
    return None


def data_start(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return the position of an entry's first byte in the archive, from its local header."""
    file.seek(info.header_offset)
    fields = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return int(info.header_offset + _LOCAL_HEADER.size + fields[-2] + fields[-1])
