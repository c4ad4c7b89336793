"""HDF5 files from untrusted sources.

An HDF5 file can point to other files, declare arrays of any size, and hold Python objects. Here
everything is checked before any memory is taken: every path is followed link by link and never
leaves the file, unless asked to and then to files beside it only; declared sizes must fit what is
stored, and only plain numbers are read. Stacks are not read when the file is opened: contiguous
ones are mapped, chunked ones are read on demand.
"""

import contextlib
import importlib
import math
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_data._contract import raster_advice
from ptycho_data._hdf5_source import (
    DAMAGE,
    H5RasterSource,
    H5Source,
    datasets,
    member_names,
    open_file,
)
from ptycho_data._mapped import Stamp, map_file
from ptycho_data._stack import LazyStack, Stack
from ptycho_data._untrusted import LIMITS, Header, HeaderError, UntrustedFile, brief, check_extents
from ptycho_data._violations import WHOLE_FILE, ScanFormatError

__all__ = ["H5File", "is_hdf5"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Tell an HDF5 file by its signature, which stands at 0, 512, 1024, 2048, ... bytes."""
    with path.open("rb") as file:
        size, offset = path.stat().st_size, 0
        while offset + len(SIGNATURE) <= size and offset <= 1 << 20:
            file.seek(offset)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
            offset = max(512, 2 * offset)
    return False


def _is_text(item: h5py.Dataset) -> bool:
    with contextlib.suppress(*DAMAGE):
        return h5py.check_string_dtype(item.dtype) is not None
    return False


def _is_matlab_complex(dtype: np.dtype[Any]) -> bool:
    """Tell complex numbers as MATLAB writes them; h5py knows those of Python, ``r`` and ``i``."""
    if dtype.names != ("real", "imag"):
        return False
    return all(dtype[name].kind == "f" for name in dtype.names)


class H5File(UntrustedFile):
    """An HDF5 file; use it in a ``with`` statement.

    Paths may run through soft links within the file, and virtual datasets may put together others
    of the file. External links and virtual datasets of other files are refused, unless they are to
    be followed. Datasets with their values in raw files are always refused.

    Parameters
    ----------
    path
        The file.
    follow
        Follow links to other HDF5 files, from file to file so many times.
    within
        Folder that these files must lie in, or in a folder of it, by their real paths; by default
        that of the file.

    Raises
    ------
    ScanFormatError
        If the file is missing, unreadable or no intact HDF5 file.
    """

    KIND: ClassVar[str] = "an HDF5 file, complete and undamaged"

    def __init__(
        self, path: str | PathLike[str], *, follow: int = 0, within: Path | None = None
    ) -> None:
        super().__init__(path)
        self._follow = follow
        self._within = within
        self._others: dict[str, H5File] = {}
        self._stamp = Stamp.of(self.path)
        with self._guard(WHOLE_FILE, self.KIND):
            self._file = open_file(self.path)

    def close(self) -> None:
        """Close the file and those that it links to; stacks made from it stay valid."""
        for other in self._others.values():
            other.close()
        with contextlib.suppress(*DAMAGE):
            self._file.close()

    @property
    def linked(self) -> tuple[Path, ...]:
        """Other files that links were followed to."""
        others = self._others.values()
        return tuple(path for other in others for path in (other.path, *other.linked))

    @property
    def stamps(self) -> tuple[Stamp, ...]:
        """Of this file and of those that links were followed to, as they were when opened."""
        others = self._others.values()
        return (self._stamp, *(stamp for other in others for stamp in other.stamps))

    def _other(self, filename: str, name: str) -> "H5File":
        """Open a file that a dataset of this one is in, if links may be followed."""
        if filename == ".":
            return self
        if filename not in self._others:
            got = f"data in another file ({filename[:100]})"
            path = self._linked_path(filename, name, got)
            if not self._follow:
                advice = (
                    "pass --follow-links to read files in the same folder, or copy the data into "
                    "one file; ptycho prepare follows such links"
                )
                self._fail(name, "data in this file", got, advice)
            if len(self._others) >= LIMITS.files:
                self._fail(name, f"in at most {LIMITS.files} files", "links to more")
            self._others[filename] = H5File(path, follow=self._follow - 1, within=self._folder)
        return self._others[filename]

    @property
    def _folder(self) -> Path:
        """Folder that no link may leave."""
        return self.path.absolute().parent if self._within is None else self._within

    def _linked_path(self, filename: str, name: str, got: str) -> Path:
        """Return the file that HDF5 would open, if it lies in the folder of this one.

        HDF5 looks beside the linking file, and there for the last part of a path that leads
        nowhere.
        """
        beside = self.path.parent
        path = beside / filename
        if not path.exists() and Path(filename).is_absolute():
            path = beside / Path(filename).name
        if not path.resolve().is_relative_to(self._folder.resolve()):
            advice = (
                "only files in the same folder, or in folders of it, are followed; copy the data "
                "into one file"
            )
            self._fail(name, "data in this file", got, advice)
        return path

    @contextlib.contextmanager
    def _guard(self, key: str, rule: str = "an undamaged HDF5 dataset") -> Iterator[None]:
        """Turn whatever h5py raises into one clear error."""
        try:
            yield
        except ScanFormatError:
            raise
        except DAMAGE as error:
            self._fail(key, rule, f"what HDF5 cannot read ({brief(error, 200)})")

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the datasets but texts, the first two hundred, without following links."""
        found: list[str] = []
        with contextlib.suppress(*DAMAGE):
            for name, item in datasets(self._file):
                if not _is_text(item):
                    found.append(name)
                if len(found) >= LIMITS.names:
                    break
        return tuple(found)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a dataset of this path (a link out of the file counts as one)."""
        try:
            return isinstance(self._find(name), h5py.Dataset)
        except (ScanFormatError, *DAMAGE):
            return True  # something is there; reading it raises the error

    def _find(self, name: str) -> h5py.Dataset | h5py.Group | None:
        """Follow a path by hand, link by link, without leaving the file; None if it ends."""
        item: h5py.Dataset | h5py.Group = self._file
        parts, followed = [part for part in name.split("/") if part], 0
        while parts:
            if not isinstance(item, h5py.Group):
                return None
            part = parts.pop(0)
            # The high-level call takes a damaged group for one without such a member.
            if not item.id.links.exists(part.encode("utf-8", "surrogateescape")):
                return None
            link = item.get(part, getlink=True)
            if isinstance(link, h5py.SoftLink):
                followed += 1
                if followed > LIMITS.links:
                    self._fail(name, "a dataset", "links that lead in a circle")
                parts = [step for step in link.path.split("/") if step] + parts
                item = self._file if link.path.startswith("/") else item
            elif isinstance(link, h5py.HardLink):
                item = item[part]
            else:
                other = self._other(str(link.filename), name)
                return other._find("/".join([str(link.path), *parts]))
        return item

    def _owner(self, item: h5py.Dataset) -> "H5File":
        """Return the file that a dataset is in."""
        filename = Path(item.file.filename)
        files = [self, *self._others.values()]
        while files:
            file = files.pop()
            if file.path == filename:
                return file
            files.extend(file._others.values())
        return self

    def _dataset(self, name: str) -> h5py.Dataset:
        """Find a dataset and check that its declaration can be true."""
        with self._guard(name):
            item = self._find(name)
            if not isinstance(item, h5py.Dataset):
                there = ", ".join(self.names[:20]) or "nothing"
                self._fail(name, "a dataset", "no such dataset", f"the file holds: {there}")
            self._check(name, item)
        return item

    def _check(self, name: str, item: h5py.Dataset) -> None:
        """Refuse what points elsewhere, needs Python objects, or declares more than it holds."""
        plan = item.id.get_create_plist()
        if plan.get_external_count():
            got = "a dataset whose values are in a raw file (never followed)"
            self._fail(name, "data in this file", got)
        virtual = plan.get_layout() == h5py.h5d.VIRTUAL
        shape, dtype = item.shape, item.dtype
        try:
            check_extents(shape)
        except HeaderError as error:
            self._fail(name, error.rule, error.got)
        if dtype.kind not in "biufc" and not _is_matlab_complex(dtype):
            hint = " (objects are never loaded)" if dtype.hasobject else ""
            self._fail(name, "plain numbers", f"dtype {str(dtype)[:60]}{hint}")
        chunk = math.prod(item.chunks or ()) * dtype.itemsize
        if item.chunks is not None and chunk > LIMITS.chunk:
            self._fail(
                name, f"in chunks of at most {LIMITS.chunk} bytes", f"chunks of {chunk} bytes"
            )
        self._check_filters(name, plan)
        header, stored = Header(shape=shape, dtype=dtype), int(item.id.get_storage_size())
        declared = f"{header.nbytes} declared bytes ({header.describe()})"
        size = self._owner(item).path.stat().st_size
        if virtual:
            stored = sum(int(part.id.get_storage_size()) for part in self._parts(name, item))
        elif stored > size:
            self._fail(name, "complete", f"{stored} stored bytes in a file of {size}")
        elif item.chunks is None and header.nbytes > stored:
            self._fail(name, f"as large as the {stored} bytes that are stored", declared)
        if LIMITS.inflates_absurdly(header.nbytes, stored):
            self._fail(name, f"a size that {stored} stored bytes can hold", declared)

    def _parts(self, name: str, item: h5py.Dataset) -> list[h5py.Dataset]:
        """Return the checked datasets that a virtual one puts together, all of it."""
        owner, parts, covered = self._owner(item), [], 0
        for part in item.virtual_sources():
            source = owner._other(str(part.file_name), name)
            found = source._find(str(part.dset_name))
            if not isinstance(found, h5py.Dataset):
                self._fail(name, "complete", f"no dataset {part.dset_name} in {source.path.name}")
            if found.id.get_create_plist().get_layout() == h5py.h5d.VIRTUAL:
                got = "a virtual dataset of virtual datasets"
                self._fail(name, "of datasets with values", got)
            source._check(str(part.dset_name), found)
            parts.append(found)
            covered += int(part.vspace.get_select_npoints())
        if covered < math.prod(item.shape):
            # HDF5 would fill the rest with zeros.
            got = f"a virtual dataset of which {covered} of {math.prod(item.shape)} values are set"
            self._fail(name, "complete", got)
        return parts

    def _check_filters(self, name: str, plan: Any) -> None:
        for index in range(plan.get_nfilters()):
            code, _, _, label = plan.get_filter(index)
            if h5py.h5z.filter_avail(code):
                continue
            with contextlib.suppress(ImportError):
                importlib.import_module("hdf5plugin")  # which registers its filters
            if not h5py.h5z.filter_avail(code):
                called = label.decode("ascii", "replace") or "unknown"
                got = f"compression {called} ({code}), which is not installed"
                self._fail(name, "readable", got, "pip install hdf5plugin")

    def header(self, name: str) -> Header:
        """Describe a dataset after checking that its declaration can be true.

        Raises
        ------
        ScanFormatError
            If there is no such dataset, it points elsewhere, does not hold plain numbers, or
            declares more than the file holds.
        """
        item = self._dataset(name)
        dtype = item.dtype
        if _is_matlab_complex(dtype):
            dtype = np.result_type(dtype["real"], np.complex64)
        return Header(shape=tuple(int(k) for k in item.shape), dtype=dtype)

    def read(self, name: str) -> NDArray[Any]:
        """Read a dataset into memory.

        Raises
        ------
        ScanFormatError
            As `header`, and if the stored bytes are damaged.
        """
        item = self._dataset(name)
        with self._guard(name):
            values: NDArray[Any] = np.asarray(item[()])
        if _is_matlab_complex(values.dtype):
            return np.asarray(values["real"] + 1j * values["imag"])
        return values

    def same(self, name: str, other: str) -> bool:
        """Tell whether two paths lead to one dataset, by links."""
        with self._guard(name):
            item = self._find(name)
            return item is not None and bool(item == self._find(other))
        return False

    def number(self, name: str, attribute: str | None = None) -> float | None:
        """Read a single number, from a dataset or from an attribute of a dataset or the file.

        Returns
        -------
        float or None
            None where there is no such thing.

        Raises
        ------
        ScanFormatError
            If it is there and no single number.
        """
        if attribute is None:
            if name not in self:
                return None
            key, header = name, self.header(name)
            wide = math.prod(header.shape) != 1
            value = None if wide else self.read(name)
        else:
            key = f"{name}@{attribute}" if name.strip("/") else attribute
            with self._guard(key, "one number"):
                item = self._find(name)
                if item is None or attribute not in item.attrs:
                    return None
                made = item.attrs.get_id(attribute)
                plain = made.dtype.kind in "biuf" and math.prod(made.shape or (1,)) == 1
                value = np.asarray(item.attrs[attribute]) if plain else None
        if value is None or value.dtype.kind not in "biuf":
            self._fail(key, "one number", "no single number")
        return float(value.reshape(()))

    def numbers(self, name: str, attribute: str) -> NDArray[np.float64] | None:
        """Read a few numbers in an attribute of a dataset or group; None if there are none."""
        with self._guard(f"{name}@{attribute}", "numbers"):
            item = self._find(name)
            if item is None or attribute not in item.attrs:
                return None
            made = item.attrs.get_id(attribute)
            if made.dtype.kind in "iuf" and math.prod(made.shape or (1,)) <= LIMITS.axes:
                return np.asarray(item.attrs[attribute], np.float64)
        return None

    def by_matlab(self, name: str) -> bool:
        """Tell whether MATLAB wrote a dataset, and so reversed its axes: it says so in both cases.

        MAT-files (version 7.3) begin with a text, and their datasets have an attribute. What
        ``h5write`` of MATLAB writes has neither.
        """
        with self.path.open("rb") as file:
            if file.read(6) == b"MATLAB":
                return True
        with self._guard(name):
            item = self._find(name)
            return item is not None and "MATLAB_class" in item.attrs

    def members(self, group: str) -> tuple[str, ...]:
        """Names in a group, links out of the file included; empty where there is no group."""
        with self._guard(group, "an undamaged HDF5 group"):
            item = self._find(group)
            if not isinstance(item, h5py.Group) or len(item) > LIMITS.members_of_group:
                return ()
            return tuple(n for n in member_names(item) if isinstance(n, str))
        return ()

    def unit(self, name: str) -> str | None:
        """Read the attribute ``units`` of a dataset; None where there is none, or it is empty.

        Raises
        ------
        ScanFormatError
            If it is no text.
        """
        return self.text(name, "units")

    def text(self, name: str, attribute: str) -> str | None:
        """Read a text in an attribute of a dataset or group; None if there is none, or it is empty.

        Raises
        ------
        ScanFormatError
            If it is no text.
        """
        key = f"{name}@{attribute}"
        with self._guard(key, "text"):
            item = self._find(name)
            if item is None or attribute not in item.attrs:
                return None
            made = item.attrs.get_id(attribute)
            text = None
            if h5py.check_string_dtype(made.dtype) and math.prod(made.shape or (1,)) == 1:
                value = np.asarray(item.attrs[attribute]).reshape(-1)[0]
                text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if text is None:
            self._fail(key, "text", "no text")
        return text.strip() or None

    def string(self, name: str) -> str | None:
        """Read a dataset that holds one short text; None for anything else."""
        with contextlib.suppress(ScanFormatError, *DAMAGE):
            item = self._find(name)
            if not isinstance(item, h5py.Dataset) or math.prod(item.shape or (1,)) != 1:
                return None
            made = h5py.check_string_dtype(item.dtype)
            if made is None or (made.length or 0) > LIMITS.npy_header:
                return None
            value = np.asarray(item[()]).reshape(-1)[0]
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            return text.strip() or None
        return None

    def stack(self, name: str, *, raster: bool = False) -> Stack:
        """Give access to a stack of patterns without reading it.

        Parameters
        ----------
        name
            The dataset.
        raster
            Whether more than three axes are allowed: all but the last two count the patterns.

        Returns
        -------
        memmap or LazyStack
            A read-only map where the values lie in one piece, else patterns read on demand.

        Raises
        ------
        ScanFormatError
            As `header`, and if the stack does not have three axes.
        """
        item = self._dataset(name)
        header = Header(shape=tuple(int(k) for k in item.shape), dtype=item.dtype)
        axes = len(header.shape)
        if not (axes == 3 or (raster and axes > 3)) or 0 in header.shape:
            advice = raster_advice(header.shape)
            self._fail(name, "a stack of three axes, none of them 0", header.describe(), advice)
        owner, chunks = self._owner(item), item.chunks
        with self._guard(name):
            offset, canonical = item.id.get_offset(), str(item.name)
            if item.is_virtual:
                chunks = _common_chunks(self._parts(name, item), header)
        if chunks is None and offset is not None and header.nbytes:
            if offset + header.nbytes > owner._stamp.size:
                self._fail(name, "complete", "a dataset that runs past the end of the file")
            shape = (-1, *header.shape[-2:])
            with owner.path.open("rb") as opened:
                owner._stamp.check(opened)
                mapped = map_file(opened, owner._stamp, header.dtype, offset, header.shape)
            return mapped.reshape(shape)
        if chunks is None:  # so small that it lies in the header
            return self.read(name).reshape(-1, *header.shape[-2:])
        source = H5RasterSource if axes > 3 else H5Source
        return LazyStack(
            source(stamp=owner._stamp, name=canonical, header=header, chunks=tuple(chunks))
        )


def _common_chunks(parts: list[h5py.Dataset], header: Header) -> tuple[int, ...]:
    """Return the chunks that a virtual stack is read by: those of its parts, if all are alike."""
    found = {tuple(part.chunks or ()) for part in parts}
    one = found.pop() if len(found) == 1 else ()
    return one if len(one) == len(header.shape) else (1, *header.shape[1:])
