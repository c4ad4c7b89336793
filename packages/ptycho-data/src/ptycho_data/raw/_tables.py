"""Columns of numbers in text files, and arrays in NPY files."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_data._untrusted import Header, HeaderError, read_header, require_file
from ptycho_data._violations import WHOLE_FILE, ScanFormatError

__all__ = ["NpyFile", "TextTable"]

#: Largest text file that is read.
_LARGEST = 512 << 20
_KIND = "a table of numbers in a text file"
_BREAK = re.compile(r"[,;\t]\s*|\s+")


class TextTable:
    """A text file with columns of numbers, separated by commas, semicolons, tabs or blanks.

    Lines without numbers above the first one with numbers are comments; the last of them with as
    many words as there are columns names these. Columns also have numbers, from 0.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ScanFormatError
        It is too large, is no text, or has no table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        require_file(path, _KIND)
        try:
            if path.stat().st_size > _LARGEST:
                raise self._error(f"of at most {_LARGEST >> 20} MiB", "more")
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise self._error(_KIND, "no text") from None
        except OSError as error:
            raise self._error(_KIND, f"a file that cannot be read ({error.strerror})") from None
        self._values, self.columns = self._parsed(text)
        self.names = self.columns or tuple(map(str, range(self._values.shape[1])))

    def _error(self, rule: str, got: str, advice: str = "", key: str = WHOLE_FILE) -> Exception:
        return ScanFormatError.of(self.path, key, rule, got, advice)

    def _parsed(self, text: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        rows: list[list[float]] = []
        heads: list[list[str]] = []
        for number, line in enumerate(text.splitlines(), 1):
            words = [word for word in _BREAK.split(line.strip()) if word]
            if not words:
                continue
            try:
                values = [float(word) for word in words]
            except ValueError:
                if line.lstrip().startswith("#") or not rows:
                    heads.append([w for w in _BREAK.split(line.strip().lstrip("# ")) if w])
                    continue
                got = f"line {number}: {line.strip()[:60]!r}"
                raise self._error("numbers in every line below the first", got) from None
            if rows and len(values) != len(rows[0]):
                got = f"{len(values)} numbers in line {number}, {len(rows[0])} above"
                raise self._error("of lines with equally many numbers", got)
            rows.append(values)
        if not rows:
            raise self._error(_KIND, "no line of numbers")
        named = [head for head in heads if len(head) == len(rows[0])]
        columns = tuple(word.strip("\"'") for word in named[-1]) if named else ()
        return np.array(rows), columns

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a column of this name or number."""
        return name in self.columns or (name.isdigit() and int(name) < self._values.shape[1])

    def read(self, name: str) -> NDArray[np.float64]:
        """Return a column; all of the table without a name.

        Raises
        ------
        ScanFormatError
            There is no such column.
        """
        if not name:
            return self._values
        if name in self.columns:
            return self._values[:, self.columns.index(name)]
        if name not in self:
            got = f"{name}; columns are {', '.join(self.names[:20])}"
            raise self._error("a column of the table", got, key=name)
        return self._values[:, int(name)]

    def header(self, name: str) -> Header:
        """Return shape and type of a column."""
        return Header(shape=self.read(name).shape, dtype=np.dtype(np.float64))

    def unit(self, name: str) -> None:
        """Return None: a text file states no units."""

    def close(self) -> None:
        """Do nothing: the file is read when it is opened."""


class NpyFile:
    """One array in an NPY file, mapped read-only.

    Raises
    ------
    ScanFormatError
        It is damaged, or holds Python objects.
    """

    names: tuple[str, ...] = ("",)

    def __init__(self, path: Path) -> None:
        self.path = path
        require_file(path, "an NPY file")
        try:
            with path.open("rb") as stream:
                self._header = read_header(stream)
            size = path.stat().st_size
        except HeaderError as error:
            raise ScanFormatError.of(path, WHOLE_FILE, error.rule, error.got) from None
        except OSError as error:
            got = f"a file that cannot be read ({error.strerror})"
            raise ScanFormatError.of(path, WHOLE_FILE, "an NPY file", got) from None
        if self._header.size + self._header.nbytes > size:
            got = f"{self._header.nbytes} declared bytes in a file of {size}"
            raise ScanFormatError.of(path, WHOLE_FILE, "complete", got)

    def __contains__(self, name: str) -> bool:
        """Tell whether the name is empty: the array has none."""
        return not name

    def header(self, name: str) -> Header:
        """Return shape and type of the array."""
        del name
        return Header(shape=self._header.shape, dtype=self._header.dtype)

    def read(self, name: str) -> NDArray[Any]:
        """Return the array, mapped from the file."""
        del name
        shape = self._header.shape
        if not math.prod(shape):
            return np.zeros(shape, self._header.dtype)
        order = shape[::-1] if self._header.fortran else shape
        mapped = np.memmap(self.path, self._header.dtype, "r", self._header.size, order)
        return mapped.T if self._header.fortran else mapped

    def unit(self, name: str) -> None:
        """Return None: the file states no units."""

    def close(self) -> None:
        """Do nothing: arrays made from it stay valid."""
