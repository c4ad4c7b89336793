"""Patterns that wait for the network: how many, and what happens when they become too many.

A source that can wait is read only as fast as patterns are done. With one that cannot, the oldest
patterns are put off: the picture stays at the newest ones, and the others, which are on disk, are
done when there is time, at the end at the latest. Whole patterns are put off, and counted.
"""

import threading
from collections import deque
from collections.abc import Iterator

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from ptycho_core.streaming.joining import Joined

__all__ = ["Backlog", "Waiting", "columns"]

Waiting = tuple[int, int, float, float, float]
"""Number, row, x, y and time of coming of a pattern."""


@define(kw_only=True, eq=False)
class Backlog:
    """Patterns whose positions are known and that are not in the object yet.

    Attributes
    ----------
    limit
        How many may wait.
    waits
        Whether the source waits when there are so many; otherwise the oldest are put off.
    put_off
        How many were put off so far.
    """

    limit: int
    waits: bool
    put_off: int = field(default=0, init=False)
    _new: deque[Waiting] = field(factory=deque, init=False)
    _later: deque[Waiting] = field(factory=deque, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False)

    def put(self, joined: Joined) -> None:
        """Add patterns, as they come."""
        with self._changed:
            self._new.extend(_waiting(joined))
            while not self.waits and len(self._new) > self.limit:
                self._later.append(self._new.popleft())
                self.put_off += 1
            self._changed.notify_all()

    def put_later(self, joined: Joined) -> None:
        """Add patterns that are done when there is time: those of an earlier run."""
        with self._changed:
            self._later.extend(_waiting(joined))

    @property
    def full(self) -> bool:
        """Whether the source is to wait."""
        return self.waits and len(self._new) >= self.limit

    def __len__(self) -> int:
        """Return how many wait, put off or not."""
        return len(self._new) + len(self._later)

    def wait_for_room(self, seconds: float) -> None:
        """Wait until there is room, at most so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self.full, seconds)

    def wait_for(self, number: int, seconds: float) -> None:
        """Wait until so many new ones are there, at most so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._new) >= number, seconds)

    def take(self, most: int) -> list[Waiting]:
        """Return the next patterns: the oldest of the new ones, or else of those put off."""
        with self._changed:
            queue = self._new or self._later
            some = [queue.popleft() for _ in range(min(most, len(queue)))]
            self._changed.notify_all()
        return some


def _waiting(joined: Joined) -> Iterator[Waiting]:
    x, y = joined.places.T.tolist()
    numbers, rows, received = (
        values.tolist() for values in (joined.numbers, joined.rows, joined.received)
    )
    return zip(numbers, rows, x, y, received, strict=True)


def columns(
    some: list[Waiting],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return numbers (k,), rows (k,), positions (k, 2) and times (k,)."""
    numbers, rows, x, y, received = zip(*some, strict=True)
    places = np.stack([np.array(x, float), np.array(y, float)], axis=1)
    return np.array(numbers), np.array(rows), places, np.array(received)
