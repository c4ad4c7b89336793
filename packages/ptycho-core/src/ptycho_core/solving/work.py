"""The work of a run of the solver: on all patterns, and on the two halves of a scan."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from attrs import evolve, frozen
from ptycho_data import Reconstruction, Scan
from ptycho_physics import Solution, State, solve

from ptycho_core.analysis.half_scans import HalfScanFRC, Indices, sparing_half_scan_frc
from ptycho_core.progress.base import Progress
from ptycho_core.refinement import initial_object
from ptycho_core.solving.attended import Attendance
from ptycho_core.solving.place import Place
from ptycho_core.solving.solutions import reconstruction_of
from ptycho_core.uncertainty.estimate import SOLVER_SPLITS, Uncertainty, sparing_uncertainty

__all__ = ["SolverWork"]


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
    """

    settings: Mapping[str, Any]
    nphotons: float | None
    place: Place
    progress: Progress
    callback: Callable[[int, float], None] | None
    attendance: Attendance

    def whole(self, scan: Scan, start: Reconstruction | None, state: State | None) -> Solution:
        """Solve all patterns, from a reconstruction or from the state of an earlier run."""
        between = self.attendance.between
        return self._solve(scan, "solving", start, state=state, between=between)

    def halves(self, scan: Scan) -> HalfScanFRC | None:
        """Compare reconstructions of two halves of the patterns; None if it is not possible.

        Both start from a flat object: one that was made of all patterns would be in both.
        """

        def half(part: Indices) -> Reconstruction:
            return self._afresh(scan.select(part), "half of the scan")

        remove_ramp = bool(self.settings.get("update_probe"))
        with self.attendance.interrupts.watch(), suppress(KeyboardInterrupt):
            return sparing_half_scan_frc(scan.positions, half, remove_ramp=remove_ramp)
        return None

    def uncertainty(self, rec: Reconstruction, scan: Scan) -> Uncertainty | None:
        """Estimate the standard errors of a reconstruction; None if it is not possible.

        Halves and the simulated repetition start from a flat object, as in `halves`.
        """

        def make(patterns: Scan) -> Reconstruction:
            return self._afresh(patterns, "uncertainty")

        with self.attendance.interrupts.watch(), suppress(KeyboardInterrupt):
            return sparing_uncertainty(
                rec, scan, make, splits=SOLVER_SPLITS, nphotons=self.nphotons
            )
        return None

    def _afresh(self, scan: Scan, label: str) -> Reconstruction:
        """Solve from a flat object, to the end or not at all."""
        attendance, interrupts = self.attendance, self.attendance.interrupts
        solution = self._solve(
            scan, label, None, between=lambda _: interrupts.arrived or attendance.overdue
        )
        if interrupts.arrived:
            raise KeyboardInterrupt
        if solution.stopped == "caller":
            raise TimeoutError("max_time is over; raise it to have one")
        return reconstruction_of(solution, scan)

    def _solve(self, scan: Scan, label: str, start: Reconstruction | None, **more: Any) -> Solution:
        put, bad = self.place.put, scan.bad_pixels
        counts = scan.counts(nphotons=self.nphotons or 1.0)
        if start is not None:
            start = evolve(start, probe=scan.probe)
            more |= {"initial": put(initial_object(start, counts, bad)), "probe_start": 0}
        with self.progress(self.settings["epochs"], label) as update:

            def follow(epoch: int, r_factor: float) -> None:
                update(epoch, f"R-factor {r_factor:.4f}")
                if self.callback is not None:
                    self.callback(epoch, r_factor)

            return solve(
                put(counts),
                scan.positions,
                put(scan.probe),
                mask=None if bad is None else put(bad),
                callback=follow,
                **{**more, **self.settings},
            )
