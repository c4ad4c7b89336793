"""Where values are: datasets, parts of them, columns of tables, in the files of a scan."""

import functools
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_config.paths import expanded

from ptycho_data._hdf5 import H5File, is_hdf5
from ptycho_data._npz import Archive
from ptycho_data._stack import Stack
from ptycho_data._untrusted import require_file
from ptycho_data._violations import WHOLE_FILE, MissingScanError, ScanFormatError
from ptycho_data.formats._base import open_container
from ptycho_data.raw._image_files import FrameFiles
from ptycho_data.raw._image_formats import frame_format
from ptycho_data.raw._series import in_order
from ptycho_data.raw._tables import NpyFile, TextTable

__all__ = ["FOLLOWED", "Place", "RawFile", "RawFiles"]

RawFile = H5File | Archive | TextTable | NpyFile | FrameFiles
"""A file that values are read from."""
#: Links from file to file that are followed: master, link, virtual dataset, data, and one to spare.
FOLLOWED = 4
#: Most values of anything but patterns: positions with some readings each, a mask, a dark frame.
_MOST = 1 << 28
_TABLES = (".csv", ".txt", ".dat", ".tsv")
_SINGLE = (*_TABLES, ".npy")
_INDEXED = re.compile(r"(.*?)\[([-\d:,\s]+)\]\s*")


@frozen(kw_only=True, eq=False)
class Place:
    """A value in a file.

    Attributes
    ----------
    file, name
        The dataset, array or column.
    pick
        Indices to apply to it.
    unit_if_none
        Unit of a dataset that states none.
    """

    file: RawFile
    name: str
    pick: tuple[int | slice, ...] = ()
    unit_if_none: str | None = None

    def __str__(self) -> str:
        """Return the place as messages call it."""
        return f"{self.file.path.name}::{self.name}" if self.name else self.file.path.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the dataset, before indices are applied."""
        return self.file.header(self.name).shape

    @property
    def unit(self) -> str | None:
        """Unit, as the file states it."""
        stated = None if isinstance(self.file, Archive) else self.file.unit(self.name)
        return stated or self.unit_if_none

    def read(self) -> NDArray[Any]:
        """Read the values.

        Raises
        ------
        ScanFormatError
            They are too many, damaged, no numbers, or the indices do not fit.
        """
        header = self.file.header(self.name)
        count = int(np.prod([1, *header.shape], dtype=object))
        if count > _MOST:
            self.fail(f"of at most {_MOST} values", f"{count} values")
        if header.dtype.kind not in "biuf":
            self.fail("plain numbers", header.describe())
        values = self.file.read(self.name)
        if not self.pick:
            return values
        try:
            return np.asarray(values[self.pick])
        except IndexError:
            self.fail("of a shape that its indices fit", f"shape {header.shape}")

    def number(self) -> float:
        """Read a single number: all values must be equal."""
        values = np.asarray(self.read(), np.float64).reshape(-1)
        finite = values[np.isfinite(values)]
        if not len(finite) or np.ptp(finite) > 1e-6 * np.abs(finite).max():
            got = f"{len(values)} different values" if len(finite) else "no finite number"
            self.fail("one number", got)
        return float(finite[0])

    def stack(self) -> Stack:
        """Give access to frames (n, H, W) without reading them, rasters line by line."""
        header = self.file.header(self.name)
        if header.dtype.kind not in "iuf":
            self.fail("plain numbers", header.describe())
        if isinstance(self.file, H5File):
            return self.file.stack(self.name, raster=True)
        if isinstance(self.file, FrameFiles):
            return self.file.stack()
        if len(header.shape) < 3 or 0 in header.shape:
            self.fail("a stack of three axes or more, none of them 0", header.describe())
        mapped = (
            self.file.map(self.name)[0]
            if isinstance(self.file, Archive)
            else self.file.read(self.name)
        )
        return mapped.reshape(-1, *header.shape[-2:])

    def fail(self, rule: str, got: str, advice: str = "") -> NoReturn:
        """Raise the error about this place."""
        raise ScanFormatError.of(self.file.path, self.name or "the file", rule, got, advice)


@define(kw_only=True, eq=False, slots=False)
class RawFiles:
    """The files of a scan, and those that are named beside them; each is opened once.

    Attributes
    ----------
    paths
        Files that names without a file are looked for in, in this order.
    within
        Folder that links may lead to; by default that of each file.
    closing
        Closes the files at the end; stacks stay valid.
    """

    paths: tuple[Path, ...]
    closing: ExitStack
    within: Path | None = None
    _open: dict[Path, RawFile] = field(factory=dict, init=False)

    def open(self, path: Path) -> RawFile:
        """Open a file by its content and, if that is text, its suffix."""
        if path not in self._open:
            self._open[path] = file = self._opened(path)
            self.closing.callback(file.close)
        return self._open[path]

    def _opened(self, path: Path) -> RawFile:
        suffix = path.suffix.lower()
        if suffix in _TABLES:
            return TextTable(path)
        if suffix == ".npy":
            return NpyFile(path)
        format_ = frame_format(path)
        if format_ is not None:
            return FrameFiles([path], format_)
        require_file(path, "a file of a scan")
        if is_hdf5(path):
            return H5File(path, follow=FOLLOWED, within=self.within)
        return open_container(path)

    @property
    def files(self) -> list[RawFile]:
        """The files of the scan; those of frames alone are one, in the order of their numbers."""
        return [
            *([self._series] if self._series else []),
            *(self.open(path) for path in self.paths if frame_format(path) is None),
        ]

    @functools.cached_property
    def _series(self) -> FrameFiles | None:
        images = [path for path in self.paths if frame_format(path) is not None]
        if not images:
            return None
        ordered = in_order(images)
        format_ = frame_format(ordered[0])
        assert format_ is not None  # noqa: S101 - chosen so
        for path in ordered:
            if not path.exists():
                raise MissingScanError.of(path, WHOLE_FILE, "a file of a scan", "no such file")
        return FrameFiles(ordered, format_)

    @property
    def cautions(self) -> list[str]:
        """Doubts about the files."""
        return list(self._series.cautions) if self._series else []

    @property
    def named(self) -> str:
        """The files of the scan in words, not too many of them."""
        names = [path.name for path in self.paths]
        few = " or ".join(names[:3])
        return few if len(names) <= 3 else f"{few} or {len(names) - 3} more"

    @property
    def used(self) -> tuple[Path, ...]:
        """All files that were opened, and those that links were followed to."""
        linked = (p for f in self._open.values() if isinstance(f, H5File) for p in f.linked)
        return tuple(dict.fromkeys((*self.paths, *self._open, *linked)))

    def place(self, option: str, text: str, *, unit: str | None = None) -> Place:
        """Find a value by its name.

        Parameters
        ----------
        option
            What messages call it.
        text
            ``PATH`` in a file of the scan, ``FILE::PATH``, ``FILE::COLUMN``, or a text or NPY file;
            indices in brackets may follow: ``/entry/points[0]``, ``positions[:, 1]``.
            ``{stem}`` stands for the name of the first file without its suffix.
        unit
            Unit, if the dataset states none.

        Raises
        ------
        InvalidValueError
            There is no such dataset in the files of the scan.
        ScanFormatError
            The file cannot be read, or has no such dataset.
        """
        text, pick = _split_indices(option, text.replace("{stem}", self.paths[0].stem))
        file, separator, name = text.partition("::")
        single = text.lower().endswith(_SINGLE) or frame_format(Path(text)) is not None
        if not separator and single:
            file, name, separator = text, "", "::"
        if separator:
            opened = self.open(self._beside(expanded(file)))
            name = name.strip("/") if isinstance(opened, H5File) else name
            if name not in opened and not (isinstance(opened, TextTable) and not name):
                there = ", ".join(opened.names[:30])
                got = f"{name or 'no name'} in {file}"
                raise InvalidValueError(option, "a dataset of the file", got, f"it has {there}")
            return Place(file=opened, name=name, pick=pick, unit_if_none=unit)
        for one in self.files:
            name = text.strip("/") if isinstance(one, H5File) else text
            if not isinstance(one, NpyFile) and name in one:
                return Place(file=one, name=name, pick=pick, unit_if_none=unit)
        raise InvalidValueError(option, f"a dataset of {self.named}", text, self.contents())

    def _beside(self, path: Path) -> Path:
        """Return a named file, which may lie beside the scan instead of in the working folder."""
        near = self.paths[0].parent / path
        return near if not path.exists() and near.exists() else path

    def contents(self, most: int = 12) -> str:
        """Describe datasets: stacks, lists of numbers, and then others, a few of each."""
        stacks: list[str] = []
        lists: list[str] = []
        others: list[str] = []
        for file in self.files:
            for name in file.names:
                try:
                    shape = file.header(name).shape
                except ScanFormatError:
                    others.append(name)
                    continue
                kind = stacks if len(shape) > 2 else lists if max((1, *shape)) > 1 else others
                kind.append(f"{name} {shape}".replace(" ()", ""))
        parts = [", ".join(part[:most]) + (", ..." if len(part) > most else "")
                 for part in (stacks, lists, others) if part]  # fmt: skip
        return f"there is {'; '.join(parts)}" if parts else "there are no datasets"


def _split_indices(option: str, text: str) -> tuple[str, tuple[int | slice, ...]]:
    found = _INDEXED.fullmatch(text)
    if found is None:
        return text, ()
    picks: list[int | slice] = []
    for part in found[2].split(","):
        numbers = [int(word) if word.strip() else None for word in part.split(":")]
        if len(numbers) > 3 or (len(numbers) == 1 and numbers[0] is None):
            raise InvalidValueError(option, "followed by indices such as [0] or [:, 1]", text)
        picks.append(slice(*numbers) if len(numbers) > 1 else numbers[0] or 0)
    return found[1], tuple(picks)
