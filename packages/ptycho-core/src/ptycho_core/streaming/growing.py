"""The object of a stream as it grows: what waits is added, refused patterns are left out."""

import logging
import time
from typing import Any

import numpy as np
from attrs import define, evolve, field
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Domain, Reconstruction, Scan

from ptycho_core.analysis.verdict import judge
from ptycho_core.live_page import Snapshot
from ptycho_core.streaming.backlog import Backlog, Waiting, columns
from ptycho_core.streaming.live import LiveObject
from ptycho_core.streaming.spool import Spool
from ptycho_core.streaming.status import Latencies

__all__ = ["FIRST", "GrowingObject"]

log = logging.getLogger(__name__)

#: Patterns that the first batch should have: their mean is the scale of the network's input.
FIRST = 64
#: Patterns that a network should get at once which reconstructs them together: fewer make a poor
#: estimate to go on from.
TOGETHER = 16
#: Patterns that are compared with the object for the page, spread over those so far.
COMPARED = 16
#: Steps of the network that are added together, at most, when many patterns wait.
STEPS = 8


@define(kw_only=True, eq=False)
class GrowingObject:
    """An object that takes what waits in a backlog.

    Attributes
    ----------
    live
        Of the backend.
    spool
        Where the patterns are.
    backlog
        What waits.
    refused
        Numbers of the patterns that the network could not take.
    busy_s
        Seconds of processor time of this thread.
    """

    live: LiveObject
    spool: Spool
    backlog: Backlog
    latencies: Latencies = field(factory=Latencies)
    refused: list[int] = field(factory=list, init=False)
    busy_s: float = field(default=0.0, init=False)
    _numbers: list[NDArray[np.int64]] = field(factory=list, init=False)
    _rows: list[NDArray[np.int64]] = field(factory=list, init=False)
    _newest: Waiting | None = field(default=None, init=False)

    def step(self, *, last: bool) -> int:
        """Add some of what waits, the newest rate permitting; returns how many.

        Parameters
        ----------
        last
            Whether nothing more will come: what is fewer than a group is refused then.
        """
        group, waiting = self.live.group_size, len(self.backlog)
        step = self.live.groups_per_step * group
        together = TOGETHER if self.live.joint else 1
        enough = max(group, together if self.live.count else FIRST)
        if waiting < (1 if last else enough):
            return 0
        most = FIRST if not self.live.count else step * max(1, min(STEPS, waiting // step))
        some = self.backlog.take(max(most, group))
        if len(some) < group:
            self._refuse(some, f"fewer than the {group} of a group are left")
            return 0
        before = time.thread_time()
        self._add(some)
        self.busy_s += time.thread_time() - before
        return len(some)

    def _add(self, some: list[Waiting]) -> None:
        """Add patterns; of a batch that is refused, those are found that are to blame."""
        numbers, rows, places, received = columns(some)
        try:
            self.live.add(self.spool.patterns(rows), places)
        except InvalidValueError as error:
            half = len(some) // 2
            if half < self.live.group_size:
                self._refuse(some, str(error))
                return
            self._add(some[:half])
            self._add(some[half:])
            return
        self._numbers.append(numbers)
        self._rows.append(rows)
        self._newest = some[-1]
        self.latencies.add(received)

    def _refuse(self, some: list[Waiting], why: str) -> None:
        numbers = [one[0] for one in some]
        self.refused += numbers
        named = ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
        log.warning("frames %s left out: %s", named, why)

    def result(self, numbers: NDArray[np.int64], **known: Any) -> Reconstruction:
        """Return the reconstruction so far, whose patterns are indexed in a list of numbers.

        Parameters
        ----------
        numbers : (n,) int64
            Ascending numbers of the patterns of the scan.
        known
            As for the live object.
        """
        rec = self.live.result(**known)
        return evolve(rec, indices=np.searchsorted(numbers, np.concatenate(self._numbers)))

    def so_far(self, **known: Any) -> Reconstruction:
        """Return the reconstruction so far, its patterns indexed by their numbers."""
        return evolve(self.live.result(**known), indices=np.concatenate(self._numbers))

    def snapshot(self) -> Snapshot:
        """Return what the page shows: the object, and the newest pattern beside the model's."""
        assert self._newest is not None  # noqa: S101 - asked for after a step
        rec = self.live.result()
        number, row, *_ = self._newest
        measured = self.spool.patterns(np.array([row]))[0]
        shown = Snapshot.of(rec, len(rec.indices) - 1, measured)
        return evolve(shown, pattern=f"frame {number}")

    def fit(
        self, rec: Reconstruction, domain: Domain, bad_pixels: NDArray[np.bool_] | None
    ) -> dict[str, float]:
        """Return how patterns spread over those so far fit: their R-factor over photon noise.

        Parameters
        ----------
        rec
            The reconstruction so far.
        domain
            Of the patterns as they are kept.
        bad_pixels : (N, N) bool array, optional

        Returns
        -------
        dict
            ``r_over_noise``; ``r_factor`` of patterns whose photons are not known.
        """
        rows = np.concatenate(self._rows)
        chosen = np.unique(np.linspace(0, len(rows) - 1, COMPARED).astype(int))
        few = evolve(
            rec,
            indices=np.arange(len(chosen)),
            xcoords=rec.xcoords[chosen],
            ycoords=rec.ycoords[chosen],
        )
        scan = Scan(
            diffraction=self.spool.patterns(rows[chosen]),
            xcoords=few.xcoords,
            ycoords=few.ycoords,
            probe=rec.probe,
            domain=domain,
            bad_pixels=bad_pixels,
        )
        found = judge(few, scan)
        if found.ratio is None:
            return {"r_factor": found.r_factor}
        return {"r_over_noise": found.ratio}
