"""What a replay sends, and when: frames and positions in their order, with faults if asked for."""

import time
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_data._scan import Scan
from ptycho_data._stack import read_patterns

__all__ = ["Course", "Faults", "Sender", "send"]

#: How far a frame out of order comes behind.
_BEHIND = 5


@frozen(kw_only=True)
class Faults:
    """What goes wrong, as shares of all frames, and seconds.

    Attributes
    ----------
    lost, doubled, disordered
        Frames that are left out, sent twice, or sent later than those behind them.
    late
        By how much each position comes after its frame.
    seed
        Of the choice.
    """

    lost: float = 0.0
    doubled: float = 0.0
    disordered: float = 0.0
    late: float = 0.0
    seed: int = 0


class Sender(Protocol):
    """Speaks one protocol."""

    def addresses(self) -> dict[str, Any]:
        """Return where to receive: ``source``, ``positions`` and what else a stream has to know."""

    def prepare(self) -> None:
        """Do what takes time, before anything is sent."""

    def begin(self) -> None:
        """Wait for a receiver, where the protocol loses what nobody receives."""

    def frame(self, number: int, pattern: NDArray[Any], place: NDArray[np.float64]) -> bool:
        """Send a frame, with its position where the protocol has it there; False if it was lost."""

    def positions(self, numbers: NDArray[np.int64], places: NDArray[np.float64]) -> None:
        """Send positions (k, 2) of some frames."""

    def end(self, expected: int) -> None:
        """Say that no more will come."""

    def close(self) -> None:
        """Close files and connections."""


@frozen(kw_only=True, eq=False)
class Course:
    """The frames of a replay.

    Attributes
    ----------
    scan
        What is sent, over and over.
    first, stop
        Numbers of the first frame, and of that behind the last.
    rate
        Frames a second.
    faults
        What goes wrong.
    ends
        Whether the end is told.
    """

    scan: Scan
    first: int
    stop: int
    rate: float
    faults: Faults
    ends: bool = True

    def order(self) -> list[int]:
        """Return the numbers of the frames in the order in which they are sent."""
        rng = np.random.default_rng(self.faults.seed)
        numbers = np.arange(self.first, self.stop)
        draws = rng.random((3, len(numbers)))
        kept = draws[0] >= self.faults.lost
        times = numbers + np.where(draws[1] < self.faults.disordered, _BEHIND + 0.5, 0.0)
        twice = kept & (draws[2] < self.faults.doubled)
        all_times = np.concatenate([times[kept], times[twice] + 0.25])
        all_numbers = np.concatenate([numbers[kept], numbers[twice]])
        return [int(n) for n in all_numbers[np.argsort(all_times, kind="stable")]]

    def pattern(self, number: int) -> NDArray[Any]:
        """Return the pattern (N, N) of a frame."""
        return read_patterns(self.scan.diffraction, number % self.scan.n)

    def places(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return positions (k, 2) in pixels; of another round, moved by half a pixel each."""
        rounds = (numbers // self.scan.n)[:, np.newaxis]
        return self.scan.positions[numbers % self.scan.n] + 0.5 * rounds


def send(course: Course, sender: Sender) -> dict[str, Any]:
    """Send all frames at their times; returns what became of them."""
    order = course.order()
    sent, lost, told = 0, 0, course.first  # told: the number behind the last with a position
    started = time.perf_counter()
    waiting: list[tuple[float, NDArray[np.int64]]] = []
    for due, numbers in _bursts(order, course.rate):
        while (wait := started + due - time.perf_counter()) > 0:
            time.sleep(min(wait, 0.05))
            waiting = _send_due(course, sender, waiting, time.perf_counter())
        places = course.places(np.array(numbers))
        for number, place in zip(numbers, places, strict=True):
            if sender.frame(number, course.pattern(number), place):
                sent += 1
            else:
                lost += 1
        now = time.perf_counter()
        upto = max(told, *(number + 1 for number in numbers))
        waiting.append((now + course.faults.late, np.arange(told, upto)))
        told = upto
        waiting = _send_due(course, sender, waiting, now)
    seconds = time.perf_counter() - started
    # stages go on where a detector has lost frames
    waiting.append((time.perf_counter() + course.faults.late, np.arange(told, course.stop)))
    while waiting:
        time.sleep(0.005)
        waiting = _send_due(course, sender, waiting, time.perf_counter())
    if course.ends:
        sender.end(course.stop)
    return {"sent": sent, "lost_by_sender": lost, "seconds": round(seconds, 3)}


def _bursts(order: list[int], rate: float) -> Iterator[tuple[float, list[int]]]:
    """Divide numbers into bursts, each with the time when it is due: 5 ms, one frame at least."""
    size = max(1, round(rate * 0.005))
    for start in range(0, len(order), size):
        yield start / rate, order[start : start + size]


def _send_due(
    course: Course,
    sender: Sender,
    waiting: list[tuple[float, NDArray[np.int64]]],
    now: float,
) -> list[tuple[float, NDArray[np.int64]]]:
    for due, numbers in waiting:
        if due <= now and len(numbers):
            sender.positions(numbers, course.places(numbers))
    return [one for one in waiting if one[0] > now]
