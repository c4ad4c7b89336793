"""A growing HDF5 file: frames and positions are read as their writer appends them (SWMR)."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from attrs import define, field
from ptycho_config.errors import InvalidValueError, PtychoError
from ptycho_config.paths import expanded

from ptycho_data._hdf5_source import DAMAGE
from ptycho_data._untrusted import brief
from ptycho_data._wholeness import locked
from ptycho_data.raw import Names
from ptycho_data.streams._base import (
    MOST_PIXELS,
    PIXEL,
    Begin,
    End,
    Event,
    FramesCame,
    Incident,
    PositionsCame,
    SourceKind,
)
from ptycho_data.streams._polled import PolledSource
from ptycho_data.units import metres_per

__all__ = ["KIND", "GrowingFrames", "GrowingPositions"]

#: Bytes of frames that are read together.
_TOGETHER = 8 << 20
#: A file that does not change is looked at for its end so often.
_LOOK = 0.5
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@define(eq=False)
class _GrowingFile:
    """A file that may be missing, change, or be replaced.

    It is opened for each look: so HDF5 takes nothing from what it remembers of the file, and the
    sources of frames and positions never have it open both at once.
    """

    path: Path
    _looked: float = field(default=0.0, init=False)
    _complete: bool = field(default=False, init=False)
    _well: bool = field(default=True, init=False)

    def look(self, read: Callable[[h5py.File], list[Event]]) -> list[Event]:
        """Read what is new; nothing while the file is not there, or does not open."""
        try:
            file = h5py.File(self.path, "r", libver="latest", swmr=True, locking=False)
        except DAMAGE:
            return []
        try:
            with file:
                events = read(file)
        except PtychoError:
            raise
        except DAMAGE as error:
            return self._lost(error)
        self._well = True
        return events

    def _lost(self, error: Exception) -> list[Event]:
        """Tell, once, of a file that cannot be read for some time."""
        told, self._well = not self._well, False
        text = f"{self.path.name}: cannot be read ({brief(error, 100)}); trying again"
        return [] if told else [Incident(kind="disconnected", text=text)]

    def ended(self) -> bool:
        """Whether nothing more will come; asked where there is nothing new.

        The first answer after the writer has closed the file is no: rows may have come before it
        did.
        """
        if self._complete:
            return True
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            self._complete = not is_written(self.path)
        return False

    def missing(self, name: str, option: str) -> None:
        """Wait for a dataset: a writer makes them one by one.

        Raises
        ------
        InvalidValueError
            Nobody writes to the file any more.
        """
        if not is_written(self.path):
            raise InvalidValueError(option, f"a dataset of {self.path.name}", name)


def length(file: h5py.File, names: tuple[str, ...]) -> int:
    """Return how many rows all of these datasets have by now."""
    return min(int(file[name].shape[0]) for name in names)


def is_written(path: Path) -> bool:
    """Tell whether a writer has an HDF5 file open, by its lock or by the flags in the file.

    HDF5 is not asked: it does not open a file in two ways at once.
    """
    if locked(path):
        return True
    with path.open("rb") as file:
        head = file.read(12)
    # from version 3 on: 1 while the file is written, 4 while it is written for readers (SWMR)
    return len(head) == 12 and head.startswith(_SIGNATURE) and head[8] >= 3 and bool(head[11] & 5)


@define(kw_only=True, eq=False)
class _GrowingSource(PolledSource):
    """What has been read of a growing file."""

    path: Path
    _growing: _GrowingFile = field(init=False)
    _done: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare to open the file."""
        self._growing = _GrowingFile(self.path)

    def _look(self) -> list[Event]:
        return [] if self._over else self._growing.look(self._new)

    def _new(self, file: h5py.File) -> list[Event]:
        """Return what the file has by now."""
        raise NotImplementedError


@define(kw_only=True, eq=False)
class GrowingFrames(_GrowingSource):
    """Frames of a growing dataset (n, H, W), numbered by their rows or by another dataset.

    Attributes
    ----------
    path, name
        File and dataset.
    number_name
        Dataset with the number of each frame, such as that of areaDetector's unique identifiers.
    """

    name: str
    number_name: str = ""

    def _new(self, file: h5py.File) -> list[Event]:
        """Return the frames that the file has by now, some at a time."""
        if self.name not in file:
            self._growing.missing(self.name, "patterns")
            return []
        dataset = file[self.name]
        pixels = int(np.prod(dataset.shape[1:]))
        plain = dataset.ndim == 3 and dataset.dtype.kind in "iuf"
        if not plain or not 0 < pixels <= MOST_PIXELS:
            rule, got = "frames (n, H, W) of plain numbers", f"{dataset.dtype} {dataset.shape}"
            raise InvalidValueError(f"{self.path.name}::{self.name}", rule, got)
        begin: list[Event] = [] if self._done else [Begin(series=str(self.path))]
        names = (self.name, self.number_name) if self.number_name else (self.name,)
        there = length(file, names)
        some = max(1, _TOGETHER // (pixels * dataset.dtype.itemsize))
        stop = min(there, self._done + some)
        if stop <= self._done:
            self._over = self._growing.ended()
            known = None if self.number_name else there
            return [End(what="frames", expected=known)] if self._over else []
        frames = dataset[self._done : stop]
        numbers = np.arange(self._done, stop)
        if self.number_name:
            numbers = np.asarray(file[self.number_name][self._done : stop]).astype(np.int64)
        self._done = stop
        return [*begin, FramesCame(numbers=numbers, frames=frames)]


@define(kw_only=True, eq=False)
class GrowingPositions(_GrowingSource):
    """Positions of two growing datasets (n,), numbered by their rows."""

    names: tuple[str, str]
    unit: str | None = None

    def _new(self, file: h5py.File) -> list[Event]:
        """Return the positions that the file has by now."""
        for name, option in zip(self.names, ("x", "y"), strict=True):
            if name not in file:
                self._growing.missing(name, option)
                return []
        there = length(file, self.names)
        if there <= self._done:
            self._over = self._growing.ended()
            return [End(what="positions", expected=there)] if self._over else []
        rows = slice(self._done, there)
        x, y = (np.asarray(file[name][rows], np.float64).reshape(-1) for name in self.names)
        unit = self.unit or _unit_of(file[self.names[0]])
        factor = 1.0 if unit == PIXEL else metres_per(unit or "m")
        numbers = self._done + np.arange(len(x))
        self._done = there
        return [PositionsCame(numbers=numbers, x=x * factor, y=y * factor, in_pixels=unit == PIXEL)]


def _unit_of(dataset: Any) -> str | None:
    found = dataset.attrs.get("units")
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else found


def _frames(address: str, names: Names) -> GrowingFrames:
    """Open ``FILE``, with the datasets ``--patterns`` names; ``FILE#NUMBERS`` numbers them."""
    path, _, numbers = address.partition("#")
    if names.patterns is None:
        rule, advice = "named for a growing file", "give --patterns, such as /entry/data/data"
        raise InvalidValueError("patterns", rule, "nothing", advice)
    return GrowingFrames(path=expanded(path), name=names.patterns, number_name=numbers)


def _positions(address: str, names: Names) -> GrowingPositions:
    """Open ``FILE``, with the datasets that ``--x`` and ``--y`` name."""
    if names.x is None or names.y is None:
        rule, advice = "named for a growing file", "give --x and --y, such as /entry/positions/x"
        raise InvalidValueError("x and y", rule, "nothing", advice)
    return GrowingPositions(path=expanded(address), names=(names.x, names.y), unit=names.unit)


KIND = SourceKind(
    name="hdf5",
    title="HDF5 file that grows (SWMR)",
    address="FILE, FILE#NUMBERS",
    frames=_frames,
    positions=_positions,
)
