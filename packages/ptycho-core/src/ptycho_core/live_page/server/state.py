"""What the page knows of the run."""

import asyncio
import math
import re
import time
from typing import Any

from attrs import define, field

from ptycho_core.live_page.messages import Message, to_snapshot
from ptycho_core.live_page.server.log import Log
from ptycho_core.live_page.snapshot import Snapshot

__all__ = ["RunState", "Viewer"]

#: Seconds between two entries in the course of the values.
COURSE_S = 1.0
#: Cautions that are kept, the newest ones.
MOST_CAUTIONS = 200


@define(eq=False)
class Viewer:
    """What one viewer has been told: of constant size, whatever waits for it."""

    change: int = -1
    run: int = -1
    points: tuple[int, int] = (-1, 0)
    course: tuple[int, int] = (-1, 0)


@define(eq=False)
class RunState:
    """The newest state of the run, and what viewers have not seen of it.

    Attributes
    ----------
    snapshot : Snapshot or None
        The newest picture.
    version : int
        How many pictures there were.
    gone : bool
        Whether the run is no more.
    viewers : int
        How many follow the events.
    """

    snapshot: Snapshot | None = None
    version: int = 0
    gone: bool = False
    viewers: int = 0
    _change: int = 0
    _run: int = 0
    _facts: dict[str, Any] = field(factory=dict)
    _now: dict[str, Any] = field(factory=dict)
    _cautions: list[str] = field(factory=list)
    _points: Log = field(factory=Log)
    _course: Log = field(factory=Log)
    _noted: float = -math.inf
    _end: dict[str, Any] | None = None
    _changed: asyncio.Condition = field(factory=asyncio.Condition)

    async def take(self, message: Message) -> None:
        """Take a message of the run."""
        content = message.content
        match message.kind:
            case "begin":
                self._begin(content)
            case "now":
                self._values(content)
            case "points":
                for point in content:
                    self._points.add(_finite(point))
            case "cautions":
                new = [text for text in content if text not in self._cautions]
                self._cautions = [*self._cautions, *new][-MOST_CAUTIONS:]
            case "show":
                self.snapshot, self.version = to_snapshot(message), self.version + 1
            case "end":
                self._end = content
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._change += 1
            self._changed.notify_all()

    async def lost(self) -> None:
        """Note that the run is gone; one that did not say how it ended was killed."""
        self.gone = True
        if self._end is None:
            end = {"how": "failed", "text": "the run is gone without a word", "path": ""}
            self._end = {**end, "ended": time.time()}
        await self._tell()

    async def news(self, viewer: Viewer) -> dict[str, Any]:
        """Wait until something is new to a viewer, and return it."""
        async with self._changed:
            await self._changed.wait_for(lambda: viewer.change != self._change)
        news: dict[str, Any] = {
            "now": self._now,
            "cautions": self._cautions,
            "end": self._end,
            "picture": self.version if self.snapshot else 0,
        }
        if viewer.run != self._run and self._facts:
            news["run"] = self._facts
            viewer.points = viewer.course = (-1, 0)
        news["points"] = self._points.since(viewer.points)
        news["course"] = self._course.since(viewer.course)
        viewer.run, viewer.change = self._run, self._change
        viewer.points, viewer.course = self._points.mark, self._course.mark
        return news

    @property
    def file_stem(self) -> str:
        """Name of downloads: that of the scan, of letters that any system takes."""
        name = str(self._facts.get("facts", {}).get("scan", ""))
        return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:60] or "ptycho"

    def _begin(self, facts: dict[str, Any]) -> None:
        self._run += 1
        self._facts = facts
        self.snapshot, self._end = None, None
        self._now, self._cautions = {}, []
        self._points, self._course, self._noted = Log(), Log(), -math.inf

    def _values(self, values: dict[str, Any]) -> None:
        self._now = {**self._now, **_finite(values)}
        now = time.monotonic()
        named = {name[6:]: v for name, v in self._now.items() if name.startswith("value ")}
        if named and now - self._noted >= COURSE_S:
            self._noted = now
            self._course.add({"time": time.time(), "values": named})


def _finite(value: Any) -> Any:
    """Replace numbers that JSON does not have by None."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
