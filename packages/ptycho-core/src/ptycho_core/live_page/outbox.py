"""What a run has published and its page has not received yet; bounded, the newest wins."""

import threading
from collections.abc import Callable
from typing import Any

from attrs import define, field

from ptycho_core.live_page.messages import Message, of_snapshot
from ptycho_core.live_page.snapshot import Snapshot

__all__ = ["Outbox"]

#: Points and cautions that wait, at most: further ones push out the oldest.
MOST = 10_000


@define(eq=False)
class Outbox:
    """Messages that wait to be sent: the run puts, a thread takes.

    Of values and pictures only the newest waits, of curves and cautions at most `MOST`.
    """

    _ready: threading.Condition = field(factory=threading.Condition)
    _begin: dict[str, Any] | None = None
    _now: dict[str, Any] = field(factory=dict)
    _points: list[dict[str, Any]] = field(factory=list)
    _cautions: list[str] = field(factory=list)
    _snapshot: Snapshot | None = None
    _end: dict[str, Any] | None = None
    _ended: bool = False
    _closed: bool = False

    def begin(self, facts: dict[str, Any]) -> None:
        """Forget what waits, which is of the run before."""
        with self._ready:
            self._begin, self._end, self._ended = facts, None, False
            self._now, self._snapshot = {}, None
            self._points, self._cautions = [], []
            self._ready.notify()

    def now(self, values: dict[str, Any]) -> None:
        """Put values."""
        with self._ready:
            self._now.update(values)
            self._ready.notify()

    def point(self, point: dict[str, Any]) -> None:
        """Put a point."""
        with self._ready:
            self._points.append(point)
            del self._points[:-MOST]
            self._ready.notify()

    def caution(self, text: str) -> None:
        """Put a caution."""
        with self._ready:
            self._cautions.append(text)
            del self._cautions[:-MOST]
            self._ready.notify()

    def show(self, snapshot: Snapshot) -> None:
        """Put a picture."""
        with self._ready:
            self._snapshot = snapshot
            self._ready.notify()

    def end(self, how: dict[str, Any]) -> None:
        """Put the end of the run; only the first one counts."""
        with self._ready:
            if not self._ended:
                self._end, self._ended = how, True
                self._ready.notify()

    def close(self) -> None:
        """Let `take` return None once nothing waits."""
        with self._ready:
            self._closed = True
            self._ready.notify()

    @property
    def closed(self) -> bool:
        """Whether nothing more comes."""
        return self._closed

    @property
    def picture_waits(self) -> bool:
        """Whether a picture has not been taken."""
        return self._snapshot is not None

    def take(self) -> list[Callable[[], Message]] | None:
        """Wait for something, and take all of it, in order; None after the end."""
        with self._ready:
            while not (found := self._waiting()) and not self._closed:
                self._ready.wait()
            self._begin = self._end = self._snapshot = None
            self._now, self._points, self._cautions = {}, [], []
        return found or None

    def _waiting(self) -> list[Callable[[], Message]]:
        found: list[Callable[[], Message]] = []

        def add(kind: str, content: Any) -> None:
            found.append(lambda: Message(kind=kind, content=content))

        if self._begin is not None:
            add("begin", self._begin)
        if self._now:
            add("now", self._now)
        if self._points:
            add("points", self._points)
        if self._cautions:
            add("cautions", self._cautions)
        if (snapshot := self._snapshot) is not None:
            found.append(lambda: of_snapshot(snapshot))
        if self._end is not None:
            add("end", self._end)
        return found
