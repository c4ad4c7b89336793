"""The work of a run of the solver: on all patterns, and on the two halves of a scan."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Reconstruction, Scan
from ptycho_physics import HeldOut, Processes, Solution, State, solve

from ptycho_core.analysis.half_scans import HalfScanFRC, Indices, sparing_half_scan_frc
from ptycho_core.analysis.verdict import photons_known
from ptycho_core.fitted import Fitted
from ptycho_core.progress.base import Progress
from ptycho_core.refinement import initial_object
from ptycho_core.sample_optics import THIN, SampleOptics
from ptycho_core.solving.attended import Attendance
from ptycho_core.solving.fly_scan import without_fly_scan
from ptycho_core.solving.ladder import EPOCHS, Ladder, climb, held_out_share
from ptycho_core.solving.place import Place
from ptycho_core.solving.shown import ShownSolver
from ptycho_core.solving.solutions import reconstruction_of
from ptycho_core.uncertainty.estimate import SOLVER_SPLITS, Uncertainty, sparing_uncertainty

__all__ = ["SolverWork"]

log = logging.getLogger(__name__)

#: Epoch, counted from 0, in which the refinement of positions begins in a trial.
POSITION_START = 4


@frozen(kw_only=True, eq=False)
class SolverWork:
    """Solves the patterns of a scan.

    Attributes
    ----------
    settings
        Arguments of `ptycho_physics.solve`, with ``epochs``.
    nphotons
        Mean photons per pattern, if the scan does not state it.
    place : Place
        Where to solve.
    progress
        Progress display: see `ptycho_core.progress.base`.
    callback
        Called with (epoch counted from 1, its R-factor).
    attendance : Attendance
        Ends the work when asked to.
    shown : ShownSolver or None
        Publishes the work on all patterns; None where nobody watches.
    optics : SampleOptics
        Near field and slices.
    path : (n, 2) float64 array or None
        Of each exposure of a fly scan, see `path_of`.
    probe : (M, sN, sN) complex64 array or None
        To begin with, if it is not that of the scan: see `wide_probe`.
    """

    settings: Mapping[str, Any]
    nphotons: float | None
    place: Place
    progress: Progress
    callback: Callable[[int, float], None] | None
    attendance: Attendance
    shown: ShownSolver | None = None
    optics: SampleOptics = THIN
    path: NDArray[np.float64] | None = None
    probe: NDArray[np.complex64] | None = None

    def whole(self, scan: Scan, start: Reconstruction | None, state: State | None) -> Solution:
        """Solve all patterns, from a reconstruction or from the state of an earlier run."""
        between, shown = self.attendance.between, self.shown
        look = None if shown is None else shown.look
        return self._solve(scan, "solving", start, state=state, between=between, look=look)

    def ladder(self, scan: Scan) -> Ladder:
        """Try which switches the scan asks for; see `ptycho_core.solving.ladder`.

        Raises
        ------
        KeyboardInterrupt
            If it is interrupted.
        """
        attendance, interrupts = self.attendance, self.attendance.interrupts
        trial: dict[str, Any] = {
            "held_out": held_out_share(scan.n),
            "position_start": POSITION_START,
        }
        trial |= {"tolerance": None, "between": lambda _: attendance.interrupted}

        def solved(switches: Mapping[str, Any], epochs: int) -> HeldOut:
            options = {**trial, **switches, "epochs": epochs}
            solution = self._solve(scan, "trial", None, **options)
            if solution.stopped == "caller" or solution.held_out is None:
                raise KeyboardInterrupt("interrupted in the trials of --auto: nothing was saved")
            return solution.held_out

        with interrupts.watch():
            return climb(
                solved,
                self.settings,
                epochs=min(EPOCHS, self.settings["epochs"]),
                tell=lambda trial: log.info("auto: %s", trial.describe()),
                overdue=lambda: attendance.overdue,
            )

    def repeated(self, best: int) -> "SolverWork":
        """Return the work of repetitions on other patterns, whose best epoch is known.

        None of their patterns is held out: they make as many epochs as were best for the scan.
        """
        # other processes have ended
        attendance = evolve(self.attendance, processes=Processes())
        work = evolve(self, place=self.place.alone(), attendance=attendance)
        if not self.settings.get("held_out"):
            return work
        return evolve(work, settings={**self.settings, "held_out": 0.0, "epochs": best})

    def halves(self, scan: Scan) -> HalfScanFRC | None:
        """Compare reconstructions of two halves of the patterns; None if it is not possible.

        Both start from a flat object: one that was made of all patterns would be in both.
        """

        def half(part: Indices) -> Reconstruction:
            return self._afresh(scan.select(part), part, "half of the scan")

        remove_ramp = bool(self.settings.get("update_probe"))
        with self.attendance.interrupts.watch(), suppress(KeyboardInterrupt):
            return sparing_half_scan_frc(scan.positions, half, remove_ramp=remove_ramp)
        return None

    def uncertainty(self, rec: Reconstruction, scan: Scan, fitted: Fitted) -> Uncertainty | None:
        """Estimate the standard errors of a reconstruction; None if it is not possible.

        Halves and the simulated repetition start from a flat object, as in `halves`.
        """

        def make(patterns: Scan, part: Indices) -> Reconstruction:
            return self._afresh(patterns, part, "uncertainty")

        with self.attendance.interrupts.watch(), suppress(KeyboardInterrupt):
            return sparing_uncertainty(
                rec, scan, make, splits=SOLVER_SPLITS, nphotons=self.nphotons, fitted=fitted
            )
        return None

    def _afresh(self, scan: Scan, part: Indices, label: str) -> Reconstruction:
        """Solve a part of the patterns from a flat object, to the end or not at all."""
        attendance, interrupts = self.attendance, self.attendance.interrupts
        work = self if self.path is None else evolve(self, path=self.path[part])
        solution = work._solve(
            scan, label, None, between=lambda _: interrupts.arrived or attendance.overdue
        )
        if interrupts.arrived:
            raise KeyboardInterrupt
        if solution.stopped == "caller":
            raise TimeoutError("max_time is over; raise it to have one")
        return reconstruction_of(solution, scan)

    def _solve(self, scan: Scan, label: str, start: Reconstruction | None, **more: Any) -> Solution:
        put, bad = self.place.put, scan.bad_pixels
        probe = scan.probe if self.probe is None else self.probe
        options = {**without_fly_scan(self.settings), **more}
        if self.path is not None:
            options["exposure_path"] = self.path
        processes, nphotons = self.place.processes, self.nphotons or 1.0
        if not photons_known(scan, self.nphotons):
            options["average"] = bool(options.get("average"))
            if options.get("probe_support") is not None:
                rule, advice = "given with counts", "state the photons per pattern (nphotons)"
                got = "amplitudes of an unknown number of photons"
                raise InvalidValueError("probe_support", rule, got, advice)
        if start is not None:
            start = evolve(start, probe=probe)
            initial = put(initial_object(start, scan.counts(nphotons=nphotons), bad))
            options = {"initial": initial, "probe_start": 0, **options}
        mine = None if processes.alone else processes.share(scan.n)
        counts = scan.counts(mine, nphotons=nphotons)
        with self.progress(options["epochs"], label) as update:

            def follow(epoch: int, r_factor: float) -> None:
                update(epoch, f"R-factor {r_factor:.4f}")
                if self.shown is not None and "look" in more:
                    self.shown.epoch(epoch, r_factor)
                if self.callback is not None:
                    self.callback(epoch, r_factor)

            return solve(
                self.place.put_counts(counts),
                scan.positions,
                put(probe),
                mask=None if bad is None else put(bad),
                callback=follow,
                processes=processes,
                **self.optics.arguments({"at_once": self.place.at_once, **options}),
            )
