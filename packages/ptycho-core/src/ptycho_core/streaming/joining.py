"""Join frames and positions that come apart: by number, whichever comes first, each once."""

from collections import Counter

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

__all__ = ["Joined", "Joiner"]

#: More frames or positions cannot wait for each other.
MOST_WAITING = 50_000_000


@frozen(kw_only=True, eq=False)
class Joined:
    """Frames whose positions are known now.

    Attributes
    ----------
    numbers, rows : (k,) int64
        Number of each frame in its series, and where it is kept.
    places : (k, 2) float64
        Positions (x, y) in the unit in which they came.
    received : (k,) float64
        When the later of frame and position came.
    """

    numbers: NDArray[np.int64]
    rows: NDArray[np.int64]
    places: NDArray[np.float64]
    received: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.numbers)


@define(kw_only=True, eq=False)
class Joiner:
    """What has come of a series, and what has not.

    Attributes
    ----------
    counts
        What happened, by name: ``frames``, ``positions``, ``doubled_frames``, ``out_of_order``,
        ``doubled_positions``, ``contradicting_positions``, ``invalid_positions``.
    highest
        The highest number of a frame so far; -1 before the first.
    """

    counts: Counter[str] = field(factory=Counter)
    highest: int = field(default=-1, init=False)
    longest_wait_s: float = field(default=0.0, init=False)
    _frames: dict[int, tuple[int, float]] = field(factory=dict, init=False)
    _places: dict[int, tuple[float, float]] = field(factory=dict, init=False)
    _joined: dict[int, tuple[float, float]] = field(factory=dict, init=False)
    _rows: dict[int, int] = field(factory=dict, init=False)
    _known: set[int] = field(factory=set, init=False)
    _known_places: set[int] = field(factory=set, init=False)

    def new_frames(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which frames have not come before; the others are counted and to be left out.

        Parameters
        ----------
        numbers : (k,) int64
            Numbers of frames that have come.
        """
        new = np.ones(len(numbers), bool)
        before: set[int] = set()
        for index, number in enumerate(numbers.tolist()):
            if number in before or number in self._frames or number in self._joined:
                new[index] = False
                again = number in self._known and number not in before
                self._known.discard(number)
                self.counts["doubled_frames"] += not again
            before.add(number)
        return new

    def add_frames(
        self, numbers: NDArray[np.int64], rows: NDArray[np.int64], received: float
    ) -> Joined:
        """Take frames that `new_frames` found new; returns those whose positions were there."""
        found = []
        for number, row in zip(numbers.tolist(), rows.tolist(), strict=True):
            self.counts["out_of_order"] += number < self.highest
            self.highest = max(self.highest, number)
            place = self._places.pop(number, None)
            if place is None:
                self._frames[number] = (row, received)
            else:
                self._joined[number], self._rows[number] = place, row
                found.append((number, row, *place, received))
        self.counts["frames"] += len(numbers)
        self._check_room(self._frames, "frames without a position")
        return _joined(found)

    def add_positions(
        self, numbers: NDArray[np.int64], places: NDArray[np.float64], received: float
    ) -> Joined:
        """Take positions (k, 2); returns the frames that were waiting for them.

        The first position of a frame holds; one that is not finite is none.
        """
        found = []
        finite = np.asarray(np.isfinite(places).all(axis=1))
        for number, (x, y), usable in zip(numbers.tolist(), places.tolist(), finite, strict=True):
            if not usable:
                self.counts["invalid_positions"] += 1
                continue
            known = self._places.get(number) or self._joined.get(number)
            if known is not None:
                again = number in self._known_places
                self._known_places.discard(number)
                if known != (x, y):
                    self.counts["contradicting_positions"] += 1
                elif not again:
                    self.counts["doubled_positions"] += 1
                continue
            self.counts["positions"] += 1
            waiting = self._frames.pop(number, None)
            if waiting is None:
                self._places[number] = (x, y)
            else:
                row, came = waiting
                self.longest_wait_s = max(self.longest_wait_s, received - came)
                self._joined[number], self._rows[number] = (x, y), row
                found.append((number, row, x, y, received))
        self._check_room(self._places, "positions without a frame")
        return _joined(found)

    def resume(self) -> None:
        """Take all that has come so far for what an earlier run had: it may come once again."""
        self._known = {*self._frames, *self._joined}
        self._known_places = {*self._places, *self._joined}
        self.counts["resumed_frames"] = len(self._known)

    def table(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return rows, numbers and positions of all joined frames, in the order of the numbers."""
        numbers = np.sort(np.fromiter(self._joined, np.int64))
        rows = np.array([self._rows[number] for number in numbers.tolist()], np.int64)
        places = np.array([self._joined[number] for number in numbers.tolist()]).reshape(-1, 2)
        return rows, numbers, places

    @property
    def joined(self) -> int:
        """Number of frames whose positions are known."""
        return len(self._joined)

    @property
    def frames_waiting(self) -> int:
        """Number of frames without a position so far."""
        return len(self._frames)

    @property
    def positions_waiting(self) -> int:
        """Number of positions without a frame so far."""
        return len(self._places)

    def missing(self, expected: int | None, first: int = 0) -> NDArray[np.int64]:
        """Return the numbers of frames that have not come.

        Parameters
        ----------
        expected
            How many there should be; unknown, none is missing behind the highest.
        first
            Number of the first.
        """
        come = np.fromiter((*self._frames, *self._joined), np.int64)
        stop = self.highest + 1 if expected is None else first + expected
        if stop - first > MOST_WAITING:  # numbers of another kind than a count
            return np.array([], np.int64)
        there = np.zeros(max(0, stop - first), bool)
        inside = (come >= first) & (come < stop)
        there[come[inside] - first] = True
        return first + np.flatnonzero(~there)

    def _check_room(self, waiting: dict[int, tuple[int, float]] | dict[int, tuple[float, float]],
                    what: str) -> None:  # fmt: skip
        if len(waiting) > MOST_WAITING:
            rule, advice = f"at most {MOST_WAITING}", "numbers of frames and positions must agree"
            raise InvalidValueError(what, rule, f"{len(waiting)}", advice)


def _joined(found: list[tuple[int, int, float, float, float]]) -> Joined:
    numbers, rows, x, y, received = zip(*found, strict=True) if found else ((),) * 5
    return Joined(
        numbers=np.array(numbers, np.int64),
        rows=np.array(rows, np.int64),
        places=np.stack([np.array(x, float), np.array(y, float)], axis=1),
        received=np.array(received, float),
    )
