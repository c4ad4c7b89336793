"""A folder that files of frames arrive in, and a text file that positions are appended to."""

import os
from pathlib import Path

import numpy as np
from attrs import define, field
from ptycho_config.errors import InvalidValueError
from ptycho_config.paths import expanded, natural

from ptycho_data._violations import ScanFormatError
from ptycho_data.raw import Names
from ptycho_data.raw._image_files import open_image
from ptycho_data.raw._image_formats import frame_format
from ptycho_data.streams._base import (
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

__all__ = ["FOLDER", "TABLE", "FrameFolder", "GrowingTable"]

#: Files that are read before what came is handed on.
_TOGETHER = 32
#: Looks at a file that does not open before it is left out.
_PATIENCE = 100
#: Ends of names of files that say that no more will come.
_ENDS = (".done", ".complete")
_LARGEST_LINE = 1 << 16


@define(kw_only=True, eq=False)
class FrameFolder(PolledSource):
    """Files of one frame each, numbered by the last number in their names.

    A file is read when its size has not changed between two looks. A file with the suffix
    ``.done`` in the folder says that no more will come.

    Attributes
    ----------
    folder
        The folder, which need not be there yet.
    """

    folder: Path
    _sizes: dict[str, int] = field(factory=dict, init=False)
    _tries: dict[str, int] = field(factory=dict, init=False)
    _done: set[str] = field(factory=set, init=False)
    _begun: bool = field(default=False, init=False)

    def _look(self) -> list[Event]:
        if self._over:
            return []
        try:
            with os.scandir(self.folder) as entries:
                found = {one.name: one for one in entries}
            there = {n: one.stat().st_size for n, one in found.items() if self._wanted(n)}
            ended = any(name.endswith(_ENDS) for name in found)
        except OSError:  # not there yet, or for a moment
            return []
        ready = [name for name, size in there.items() if size and self._sizes.get(name) == size]
        self._sizes = there
        ready = sorted(ready, key=natural)[:_TOGETHER]
        events: list[Event] = []
        if ready and not self._begun:
            self._begun = True
            events.append(Begin(series=str(self.folder)))
        for name in ready:
            events += self._read(name)
        if ended and not there:
            self._over = True
            events.append(End(what="frames"))
        return events

    def _wanted(self, name: str) -> bool:
        new = name not in self._done and not name.startswith(".")
        return new and frame_format(Path(name)) is not None

    def _read(self, name: str) -> list[Event]:
        """Read one file; what does not open is tried again, as often as is usual for a copy."""
        path = self.folder / name
        digits = [number for _, number in natural(path.stem) if number >= 0]
        format_ = frame_format(path)
        assert format_ is not None  # noqa: S101 - chosen so
        try:
            opened = open_image(path, format_)
            count = int(np.prod(opened.shape[:-2]))
            if count != 1 or not digits:
                rule, got = "one frame, with a number in the name", f"{count} frames"
                raise InvalidValueError(f"{path}", rule, got)
            frame = opened.take(np.arange(1))
        except ScanFormatError as error:
            self._tries[name] = self._tries.get(name, 0) + 1
            if self._tries[name] < _PATIENCE:
                return []
            self._finish(name)
            return [Incident(kind="damaged", text=f"left out: {error}")]
        self._finish(name)
        return [FramesCame(numbers=np.array([digits[-1]]), frames=frame)]

    def _finish(self, name: str) -> None:
        self._done.add(name)
        self._sizes.pop(name, None)


@define(kw_only=True, eq=False)
class GrowingTable(PolledSource):
    """Lines of a text file ``number, x, y`` or ``x, y``, which are numbered from 0 then.

    A line is read when it has ended. Lines of words alone are left out, but for ``end``, which says
    that no more will come.

    Attributes
    ----------
    path
        The file, which need not be there yet.
    unit
        Of x and y; metres without.
    """

    path: Path
    unit: str | None = None
    _at: int = field(default=0, init=False)
    _next: int = field(default=0, init=False)
    _part: bytes = field(default=b"", init=False)

    def _look(self) -> list[Event]:
        if self._over:
            return []
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                data = file.read(1 << 24)
        except OSError:
            return []
        self._at += len(data)
        *lines, self._part = (self._part + data).split(b"\n")
        events: list[Event] = []
        if len(self._part) > _LARGEST_LINE:
            self._part = b""
            events.append(Incident(kind="damaged", text=f"{self.path}: a line without an end"))
        rows: list[tuple[int, float, float]] = []
        for line in lines:
            words = line.decode("utf-8", "replace").replace(",", " ").replace(";", " ").split()
            if words == ["end"]:
                self._over = True
                break
            try:
                values = [float(word) for word in words]
            except ValueError:
                continue
            if len(values) == 2:
                rows.append((self._next, values[0], values[1]))
                self._next += 1
            elif len(values) == 3 and 0 <= values[0] < 2**62 and values[0].is_integer():
                rows.append((int(values[0]), values[1], values[2]))
            elif values:
                text = f"{self.path}: a line without number, x and y: {words[:4]}"
                events.append(Incident(kind="damaged", text=text))
        if rows:
            factor = 1.0 if self.unit in (None, PIXEL) else metres_per(self.unit or "m")
            events.append(
                PositionsCame(
                    numbers=np.array([row[0] for row in rows]),
                    x=np.array([row[1] for row in rows]) * factor,
                    y=np.array([row[2] for row in rows]) * factor,
                    in_pixels=self.unit == PIXEL,
                )
            )
        if self._over:
            events.append(End(what="positions"))
        return events


def _frames(address: str, names: Names) -> FrameFolder:
    del names
    return FrameFolder(folder=expanded(address))


def _positions(address: str, names: Names) -> GrowingTable:
    return GrowingTable(path=expanded(address), unit=names.unit)


FOLDER = SourceKind(
    name="folder",
    title="folder that files of frames arrive in",
    address="FOLDER",
    frames=_frames,
)
TABLE = SourceKind(
    name="table",
    title="text file that lines 'number, x, y' are appended to",
    address="FILE",
    positions=_positions,
)
