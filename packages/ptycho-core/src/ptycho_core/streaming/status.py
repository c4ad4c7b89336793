"""How a stream goes: counts, rate and latency, for log lines, the page and the record."""

import time
from collections import deque
from typing import Any

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from ptycho_core.streaming.joining import Joiner

__all__ = ["Latencies", "Report", "report_of"]

#: Patterns whose latency is kept, and seconds over which the rate is taken.
_KEPT, _RATE_S = 100_000, 5.0


@define(eq=False)
class Latencies:
    """Times from the coming of patterns until they are in the object."""

    _seconds: deque[float] = field(factory=lambda: deque(maxlen=_KEPT), init=False)
    _done: deque[tuple[float, int]] = field(factory=deque, init=False)
    _first: float | None = field(default=None, init=False)
    _last: float = field(default=0.0, init=False)
    _number: int = field(default=0, init=False)

    def add(self, received: NDArray[np.float64]) -> None:
        """Note patterns that are in the object now, by when they came."""
        now = time.monotonic()
        self._first = float(received.min()) if self._first is None else self._first
        self._last, self._number = now, self._number + len(received)
        self._seconds.extend((now - received).tolist())
        self._done.append((now, len(received)))
        while self._done[0][0] < now - _RATE_S:
            self._done.popleft()

    @property
    def rate(self) -> float:
        """Patterns per second, over the last seconds."""
        if not self._done:
            return 0.0
        span = max(time.monotonic() - self._done[0][0], 1.0)
        return sum(count for _, count in self._done) / span

    @property
    def mean_rate(self) -> float:
        """Patterns per second, from the coming of the first to the last in the object."""
        return 0.0 if self._first is None else self._number / max(self._last - self._first, 1e-3)

    def quantiles(self) -> tuple[float | None, float | None]:
        """Return the median, and what 99 of 100 patterns stay below, in seconds."""
        if not self._seconds:
            return None, None
        middle, most = np.quantile(np.array(self._seconds), [0.5, 0.99])
        return float(middle), float(most)


@frozen(kw_only=True)
class Report:
    """What became of a stream.

    Attributes
    ----------
    patterns
        In the object.
    expected
        Frames that there should be, where that is known.
    missing
        Frames that have not come.
    without_position, without_frame
        Frames and positions that have no other half.
    counts
        What happened to single frames and positions, and to connections, by name.
    longest_wait_s
        The longest time for which a frame waited for its position.
    put_off
        Patterns that came faster than the network took them, and were done later.
    refused
        Patterns that are none, such as without a usable position.
    patterns_per_second
        From the coming of the first to the last in the object.
    latency_s, latency_99_s
        Median, and what 99 of 100 stay below, from the coming of a pattern to the object.
    """

    patterns: int
    expected: int | None
    missing: int
    without_position: int
    without_frame: int
    counts: dict[str, int]
    longest_wait_s: float
    put_off: int
    refused: int
    latency_s: float | None
    latency_99_s: float | None
    patterns_per_second: float

    def lines(self) -> list[str]:
        """Return sentences about all that was not as it should be."""
        told = [
            (self.missing, "frames are missing"),
            (self.without_position, "frames have no position"),
            (self.without_frame, "positions have no frame"),
            (self.refused, "patterns were refused"),
            (self.put_off, "patterns were put off, and done later from disk"),
        ]
        lines = [f"{number} {what}" for number, what in told if number]
        named = {name: number for name, number in self.counts.items() if name in _TOLD}
        return lines + [_TOLD[name].format(number) for name, number in named.items() if number]


_TOLD = {
    "doubled_frames": "{} frames came twice: the first ones were taken",
    "out_of_order": "{} frames came behind later ones",
    "doubled_positions": "{} positions came twice",
    "contradicting_positions": "{} positions came again with other values: the first were taken",
    "invalid_positions": "{} positions are not finite",
    "other_series": "{} messages of other series were left out",
    "damaged": "{} messages or files were damaged and left out",
    "disconnected": "{} times the connection was lost",
}


def report_of(
    joiner: Joiner, latencies: Latencies, expected: int | None, first: int, **more: Any
) -> Report:
    """Make a report of what has come so far."""
    middle, most = latencies.quantiles()
    return Report(
        expected=expected,
        missing=len(joiner.missing(expected, first)),
        without_position=joiner.frames_waiting,
        without_frame=joiner.positions_waiting,
        counts=dict(joiner.counts),
        longest_wait_s=round(joiner.longest_wait_s, 3),
        latency_s=None if middle is None else round(middle, 4),
        latency_99_s=None if most is None else round(most, 4),
        patterns_per_second=round(latencies.mean_rate, 1),
        **more,
    )
