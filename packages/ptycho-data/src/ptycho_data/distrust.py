"""Files that are opened and not believed."""

from abc import ABC, abstractmethod
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import ClassVar, NoReturn, Self

from ptycho_data.errors import WHOLE_FILE, ScanFormatError

__all__ = ["DistrustedFile"]


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
