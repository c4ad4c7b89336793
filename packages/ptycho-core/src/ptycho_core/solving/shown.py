"""A run of the solver on its live page."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import define, field
from ptycho_data import Reconstruction, Scan
from ptycho_physics import Solution

from ptycho_core.analysis.verdict import judge
from ptycho_core.fitted import Fitted
from ptycho_core.live_page import Publisher, Snapshot
from ptycho_core.sample_optics import THIN, SampleOptics
from ptycho_core.solving.solutions import reconstruction_of

__all__ = ["ShownSolver"]

#: Share of the patterns between two that are shown: all parts of the scan come in turn.
_STRIDE = 0.618


@define(kw_only=True, eq=False)
class ShownSolver:
    """Publishes where the solver is.

    Attributes
    ----------
    page : Publisher
    scan : Scan
    nphotons : float or None
        Mean photons per pattern, if the scan does not state it.
    epochs, batches : int
        Epochs at most, and batches of each.
    still : bool
        Whether positions are as given, so that the coverage is summed once.
    optics : SampleOptics
        Near field and slices.
    """

    page: Publisher
    scan: Scan
    nphotons: float | None
    epochs: int
    batches: int
    still: bool
    optics: SampleOptics = THIN
    _epoch: int = 0
    _batch: int = 0
    _judged: int = 0
    _shown: int = 0
    _coverage: Any = None
    _began: float = field(factory=time.monotonic)

    def look(self, so_far: Callable[..., Solution]) -> None:
        """Argument ``look`` of `ptycho_physics.solve`."""
        self._batch += 1
        done = self._epoch + min(self._batch / self.batches, 1.0)
        self.page.progress(round(min(done, self.epochs), 2), self.epochs, "epochs")
        self.page.offer(lambda: self._snapshot(so_far))

    def epoch(self, epoch: int, r_factor: float) -> None:
        """Publish a finished epoch, counted from one."""
        now = time.monotonic()
        self.page.point("epoch", epoch, r_factor=r_factor)
        self.page.now(rate=self.scan.n / (now - self._began))
        self._epoch, self._batch, self._began = epoch, 0, now

    def _snapshot(self, so_far: Callable[..., Solution]) -> Snapshot:
        solution = so_far(self._coverage if self.still else None)
        self._coverage = solution.coverage
        return self.snapshot(reconstruction_of(solution, self.scan), Fitted.of(solution))

    def snapshot(self, rec: Reconstruction, fitted: Fitted) -> Snapshot:
        """Return the picture of a reconstruction; once in an epoch it is judged, too."""
        if self._judged < self._epoch:
            self._judged = self._epoch
            ratio = judge(rec, self.scan, self.nphotons, fitted, self.optics).ratio
            if ratio is not None:
                self.page.point("epoch", self._epoch, r_over_noise=ratio)
        self._shown += 1
        row = int(self._shown * _STRIDE * self.scan.n) % self.scan.n
        counts = self.scan.counts(np.array([row]), self.nphotons or 1.0)[0]
        return Snapshot.of(rec, row, counts, self.scan.bad_pixels)
