"""The work of a reconstruction: the pass of the network, and the optional steps after it."""

import logging
from collections.abc import Callable

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_config import InferenceConfig, Resolved
from ptycho_data import Bundle, Reconstruction, Scan

from ptycho_core.analysis.half_scans import HalfScanFRC, Indices, sparing_half_scan_frc
from ptycho_core.backends import require
from ptycho_core.batch.finished import NOT_REFINED
from ptycho_core.interrupts import Interrupts
from ptycho_core.progress.base import Progress, counter
from ptycho_core.record import Stopwatch
from ptycho_core.refinement import RefinementResult, refine
from ptycho_core.results import InferenceResult
from ptycho_core.sparing import sparing_results
from ptycho_core.uncertainty.estimate import (
    NETWORK_SPLITS,
    SOLVER_SPLITS,
    Uncertainty,
    sparing_uncertainty,
)

__all__ = ["Extras", "NetworkWork"]

log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Extras:
    """Optional steps around the pass of the network.

    Attributes
    ----------
    refine
        Epochs of the iterative solver after the network; 0 for none.
    refine_probe
        Whether the solver refines the probe: with the object after the network, or before the
        network where `refine` is 0.
    refine_positions
        Whether the solver refines the positions too.
    half_scan_frc
        Whether two halves of the patterns are reconstructed too, to estimate the resolution.
    uncertainty
        Whether the standard errors of amplitude and phase are estimated.
    """

    refine: int = 0
    refine_probe: bool = False
    refine_positions: bool = False
    half_scan_frc: bool = False
    uncertainty: bool = False

    @property
    def probe_before(self) -> bool:
        """Whether the probe is refined before the network, which then uses it."""
        return self.refine_probe and not self.refine

    @property
    def probe_after(self) -> bool:
        """Whether the probe is refined with the object, after the network."""
        return self.refine_probe and self.refine > 0


@frozen(kw_only=True, eq=False)
class NetworkWork:
    """The passes of one reconstruction, over the whole scan and over its halves.

    Attributes
    ----------
    bundle : Bundle
        The trained network.
    resolved
        The settings, with those of the bundle.
    probe : (M, N, N) complex64 or None
        Probe that the user gave, or that was found or refined for this scan.
    extras
        Optional steps around the pass of the network.
    progress
        Progress display: see `ptycho_core.progress.base`.
    clock
        Takes the time of each pass.
    """

    bundle: Bundle
    resolved: Resolved[InferenceConfig]
    probe: NDArray[np.complex64] | None
    extras: Extras
    progress: Progress
    clock: Stopwatch

    def network(
        self, scan: Scan, label: str, *, whole: bool = True, stage: str = "reconstruct"
    ) -> InferenceResult:
        """Reconstruct a scan with the backend: as configured, or with all of its patterns."""
        config, execution = self.resolved.config, self.resolved.execution
        if not whole:
            config = evolve(config, n_groups=None, n_subsample=None)
            # Other processes have finished after the whole scan: do not wait for them.
            execution = evolve(execution, devices=1, num_nodes=1, strategy="auto")
        with self.clock.stage(stage), counter(self.progress, label) as update:
            return require(config.backend).reconstruct(
                self.bundle, scan, config, execution, probe=self.probe, progress=update
            )

    def refined(
        self, rec: Reconstruction, scan: Scan, interrupts: Interrupts
    ) -> RefinementResult | None:
        """Refine the reconstruction of the network with the solver.

        None if it was not requested, failed, or was interrupted in the first epoch.
        """
        refined = None
        with interrupts.watch(), sparing_results(NOT_REFINED):
            refined = self._refine(rec, scan, "refine", lambda: interrupts.arrived)
        if refined is None or not refined.r_factors:
            return None
        if refined.photon_warning:
            log.warning("refining: %s: the solver fits their noise", refined.photon_warning)
        return refined

    def halves(
        self, rec: Reconstruction, scan: Scan, interrupts: Interrupts, *, refined: bool
    ) -> HalfScanFRC | None:
        """Compare reconstructions of two halves of the patterns, made like the whole.

        None if that is not possible, or was interrupted.
        """

        def half(part: Indices) -> Reconstruction:
            chosen = scan.select(rec.indices[part])
            return self._afresh(chosen, "half of the scan", "half scans", refined=refined)

        if interrupts.arrived:
            return None
        try:
            return sparing_half_scan_frc(
                rec.positions, half, remove_ramp=refined and self.extras.refine_probe
            )
        except KeyboardInterrupt:
            interrupts.arrived = True
            return None

    def uncertainty(
        self, rec: Reconstruction, scan: Scan, interrupts: Interrupts, *, refined: bool
    ) -> Uncertainty | None:
        """Estimate the standard errors of a reconstruction.

        None if that is not possible, or was interrupted.
        """

        def make(patterns: Scan, _: Indices) -> Reconstruction:
            return self._afresh(patterns, "uncertainty", "uncertainty", refined=refined)

        if interrupts.arrived:
            return None
        if not refined:
            log.info("uncertainty: the bias of a network is told only in part; see --refine")
        try:
            return sparing_uncertainty(
                rec,
                scan.select(rec.indices),
                make,
                splits=SOLVER_SPLITS if refined else NETWORK_SPLITS,
                nphotons=self.bundle.config.get("nphotons"),
            )
        except KeyboardInterrupt:
            interrupts.arrived = True
            return None

    def _afresh(self, scan: Scan, label: str, stage: str, *, refined: bool) -> Reconstruction:
        """Reconstruct all patterns of a scan, and refine the result if that of the whole is."""
        made = self.network(scan, label, whole=False, stage=stage).reconstruction
        better = self._refine(made, scan, stage) if refined else None
        return made if better is None else better.reconstruction

    def _refine(
        self,
        rec: Reconstruction,
        scan: Scan,
        stage: str,
        stop: Callable[[], bool] = lambda: False,
    ) -> RefinementResult | None:
        """Refine a reconstruction with the solver, if requested."""
        epochs = self.extras.refine
        if not epochs:
            return None
        with self.clock.stage(stage), self.progress(epochs, "refining") as update:
            return refine(
                rec,
                scan,
                epochs=epochs,
                update_probe=self.extras.refine_probe,
                refine_positions=self.extras.refine_positions,
                nphotons=self.bundle.config.get("nphotons"),
                callback=lambda epoch, r_factor: update(epoch, f"R-factor {r_factor:.4f}"),
                stop=stop,
            )
