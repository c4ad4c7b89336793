"""The thread that reads the sources of a stream, keeps what comes, and joins it."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data.streams import Begin, End, Event, FramesCame, Incident, PositionsCame, Source

from ptycho_core.streaming.backlog import Backlog
from ptycho_core.streaming.joining import Joined, Joiner
from ptycho_core.streaming.patterns import SAMPLED, PatternMaker
from ptycho_core.streaming.spool import Spool

__all__ = ["Receiver", "Rules"]

log = logging.getLogger(__name__)

#: Seconds that one read waits, shared by the sources.
_READ = 0.04
#: Seconds without news after which positions of frames that are missing are not waited for.
_SETTLED = 1.0
#: So many lines about one kind of incident are logged; all are counted.
_LOGGED = 5


@define(kw_only=True)
class Rules:
    """When a stream is over.

    Attributes
    ----------
    expected
        Number of frames, if the user says it; wins over that of the source.
    first
        Number of the first frame.
    idle
        Seconds without anything new after which it ends; None waits for the end.
    patience
        Seconds to wait, after the end of the frames, for positions that are late.
    """

    expected: int | None = None
    first: int = 0
    idle: float | None = None
    patience: float = 10.0


@define(kw_only=True, eq=False)
class Receiver:
    """Reads sources until the stream is over; `start` it once.

    Attributes
    ----------
    sources
        Open sources of frames and of positions; closed at the end.
    maker, spool, joiner, backlog
        Where frames go, one after the other.
    rules
        When it is over.
    busy_s
        Seconds of processor time, by what they were spent on: ``read``, ``prepare`` and ``keep``.
    failed
        What ended it, if that was an error.
    """

    sources: Sequence[Source]
    maker: PatternMaker
    spool: Spool
    joiner: Joiner
    backlog: Backlog
    rules: Rules
    ended_why: str = field(default="", init=False)
    busy_s: dict[str, float] = field(factory=lambda: defaultdict(float), init=False)
    failed: BaseException | None = field(default=None, init=False)
    in_pixels: bool | None = field(default=None, init=False)
    _first: list[FramesCame] = field(factory=list, init=False)
    _ends: dict[str, End] = field(factory=dict, init=False)
    _news: float = field(factory=time.monotonic, init=False)
    _stop: threading.Event = field(factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to read."""
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self._thread is not None and not self._thread.is_alive()

    def stop(self, why: str) -> None:
        """End as soon as what is being read is kept."""
        self.ended_why = self.ended_why or why
        self._stop.set()

    def join(self) -> None:
        """Wait for the end."""
        if self._thread is not None:
            self._thread.join()

    @property
    def come(self) -> tuple[int, int]:
        """Frames and positions so far, with the frames that something is found on first."""
        counts = self.joiner.counts
        first = sum(len(one.numbers) for one in tuple(self._first))
        return counts["frames"] + first, counts["positions"]

    @property
    def expected(self) -> int | None:
        """Number of frames, where it is known."""
        ended = self._ends.get("frames")
        if self.rules.expected is not None:
            return self.rules.expected
        if ended is not None and ended.expected is not None:
            return ended.expected
        return self.maker.begin.expected

    def _run(self) -> None:
        try:
            while not self._over():
                if self.backlog.full:
                    self.backlog.wait_for_room(_READ)
                    continue
                for source in self.sources:
                    before = time.thread_time()
                    events = source.read(_READ / len(self.sources))
                    self.busy_s["read"] += time.thread_time() - before
                    for event in events:
                        self._take(event)
            self._decide_now()
        except BaseException as error:  # told by the main thread, after what had come is saved
            self.failed = error
        finally:
            for source in self.sources:
                source.close()

    def _over(self) -> bool:
        if self._stop.is_set():
            return True
        quiet = time.monotonic() - self._news
        expected = self.expected
        have = self.joiner.joined
        if expected is not None and have >= expected > 0:
            self.ended_why = "all frames and their positions have come"
        elif "frames" in self._ends and self._settled(quiet):
            self.ended_why = "the source has ended"
        elif {"frames", "positions"} <= self._ends.keys():
            self.ended_why = "the sources have ended"
        elif "frames" in self._ends and quiet > self.rules.patience:
            self.ended_why = f"no position came for {self.rules.patience:g} s after the end"
        elif self.rules.idle is not None and quiet > self.rules.idle:
            self.ended_why = f"nothing came for {self.rules.idle:g} s"
        return bool(self.ended_why)

    def _settled(self, quiet: float) -> bool:
        """Whether all frames have their positions, and others have had the time to come."""
        alone = len(self.sources) == 1 or "positions" in self._ends
        return not self.joiner.frames_waiting and not self._first and (alone or quiet > _SETTLED)

    def _take(self, event: Event) -> None:
        if isinstance(event, FramesCame):
            self._news = time.monotonic()
            self._take_frames(event)
        elif isinstance(event, PositionsCame):
            self._news = time.monotonic()
            self._take_positions(event)
        elif isinstance(event, Begin):
            self._news = time.monotonic()
            self._begin(event)
        elif isinstance(event, End):
            self._news = time.monotonic()
            self._ends[event.what] = event
            if event.what == "frames":
                self._decide_now()
        else:
            self._note(event)

    def _begin(self, begin: Begin) -> None:
        """Take what the source says of the experiment, if the series is that of an earlier run."""
        before = self.maker.begin.series
        if self.joiner.counts["resumed_frames"] and before and begin.series != before:
            rule, advice = f"series {before}, which is resumed", "choose another output folder"
            raise InvalidValueError("the source", rule, f"series {begin.series}", advice)
        self.maker.begin = begin

    def _note(self, incident: Incident) -> None:
        if self._ends and incident.kind == "disconnected":
            return  # a source that has said that it ends
        self.joiner.counts[incident.kind] += 1
        number = self.joiner.counts[incident.kind]
        if number <= _LOGGED:
            more = "; further ones are only counted" if number == _LOGGED else ""
            log.warning("%s%s", incident.text, more)

    def _take_frames(self, came: FramesCame) -> None:
        if self.maker.frames is None:
            self._first.append(came)
            sample = self._sample()
            if sample is not None and self.maker.enough(sample):
                self._decide(sample)
            return
        self._keep(came)

    def _sample(self) -> NDArray[Any] | None:
        """Return the frames that came first, those of their size."""
        shape = self._first[0].frames.shape[1:] if self._first else None
        if shape is None:
            return None
        alike = [one.frames for one in self._first if one.frames.shape[1:] == shape]
        return np.concatenate(alike)[:SAMPLED]

    def _decide_now(self) -> None:
        """Decide on what there is, if no more will come."""
        sample = self._sample() if self.maker.frames is None else None
        if sample is not None:
            self._decide(sample)

    def _decide(self, sample: NDArray[Any]) -> None:
        self.maker.decide(sample)
        for line in self.maker.remarks:
            log.info("%s", line)
        for line in self.maker.cautions:
            log.warning("%s", line)
        patterns = self.maker.patterns(sample[:1])
        self.spool.begin(patterns.shape[-1], patterns.dtype, self.maker.meta())
        waiting, self._first = self._first, []
        for came in waiting:
            self._keep(came)

    def _keep(self, came: FramesCame) -> None:
        new = self.joiner.new_frames(came.numbers)
        if not new.any():
            return
        numbers, frames = came.numbers[new], came.frames if new.all() else came.frames[new]
        before = time.thread_time()
        try:
            patterns = self.maker.patterns(frames)
        except InvalidValueError as error:
            self._note(Incident(kind="damaged", text=f"frames left out: {error}"))
            return
        if not np.can_cast(patterns.dtype, self.spool.dtype):
            text = f"frames of {patterns.dtype} left out: the first ones are of {self.spool.dtype}"
            self._note(Incident(kind="damaged", text=text))
            return
        middle = time.thread_time()
        rows = self.spool.add_patterns(numbers, patterns.astype(self.spool.dtype, copy=False))
        self.busy_s["prepare"] += middle - before
        self.busy_s["keep"] += time.thread_time() - middle
        self._put(self.joiner.add_frames(numbers, rows, came.received))

    def _take_positions(self, came: PositionsCame) -> None:
        if self.in_pixels not in (None, came.in_pixels):
            self._note(Incident(kind="damaged", text="positions in another unit left out"))
            return
        self.in_pixels = came.in_pixels
        places = np.stack([came.x, came.y], axis=1)
        self.spool.add_positions(came.numbers, places, in_pixels=came.in_pixels)
        self._put(self.joiner.add_positions(came.numbers, places, came.received))

    def _put(self, joined: Joined) -> None:
        """Hand on what is joined, with positions in pixels."""
        if len(joined):
            self.backlog.put(self.on_object(joined))

    def on_object(self, joined: Joined) -> Joined:
        """Return what is joined with its positions in pixels of the object."""
        pixels = self.maker.places(joined.places, in_pixels=bool(self.in_pixels))
        return Joined(
            numbers=joined.numbers, rows=joined.rows, places=pixels, received=joined.received
        )
