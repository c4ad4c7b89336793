"""Reconstruction of a scan by the iterative solver, without a network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from ptycho_data import Reconstruction, Scan, load_scan
from ptycho_physics import Solution, solve

from ptycho_core.verdict import Verdict, judge

__all__ = ["SolverResult", "reconstruction_of", "solve_scan"]


@frozen(kw_only=True, eq=False)
class SolverResult:
    """A reconstruction by the solver.

    Attributes
    ----------
    reconstruction : Reconstruction
        With the refined probe and positions, if they were refined.
    r_factors : list of float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` during each epoch, before its updates.
    stopped : str
        "epochs" if all epochs were completed, "plateau" if the R-factor stopped falling.
    positions_moved_rms : float
        Root mean square displacement of the positions, in pixels; 0 if they were not refined.
    verdict : Verdict or None
        Comparison with photon noise; None if the number of photons is unknown.
    """

    reconstruction: Reconstruction
    r_factors: list[float]
    stopped: str
    positions_moved_rms: float
    verdict: Verdict | None = None

    @property
    def r_factor(self) -> float:
        """R-factor of the last epoch."""
        return self.r_factors[-1]


def solve_scan(
    scan: Scan | str | Path,
    *,
    epochs: int = 20,
    nphotons: float | None = None,
    callback: Callable[[int, float], None] | None = None,
    **settings: Any,
) -> SolverResult:
    """Reconstruct a scan iteratively, starting from a uniform object.

    Parameters
    ----------
    scan
        A scan, or a file of any known format.
    epochs
        Maximum number of passes over the patterns.
    nphotons
        Mean photons per pattern if the scan does not state it. It does not affect the result,
        because the solver works on relative counts.
    callback
        Called with (epoch counted from 1, its R-factor).
    **settings
        Further arguments of `ptycho_physics.solve`, e.g. ``update_probe``, ``refine_positions``,
        ``modes``, ``tolerance``, ``batch_size``, ``seed``.

    Raises
    ------
    ScanFormatError
        If the file is not a valid scan.
    InvalidValueError
        If all patterns are zero, or settings contradict each other.
    DivergenceError
        If the solver diverges.
    """
    if not isinstance(scan, Scan):
        scan = load_scan(scan)
    solution = solve(
        scan.counts(nphotons=nphotons or 1.0),
        scan.positions,
        scan.probe,
        epochs=epochs,
        mask=scan.bad_pixels,
        callback=callback,
        **settings,
    )
    moved = solution.positions - scan.positions
    reconstruction = reconstruction_of(solution, scan)
    return SolverResult(
        reconstruction=reconstruction,
        verdict=judge(reconstruction, scan, nphotons),
        r_factors=solution.r_factors,
        stopped=solution.stopped,
        positions_moved_rms=float(np.sqrt(np.mean(moved**2))),
    )


def reconstruction_of(solution: Solution, scan: Scan) -> Reconstruction:
    """Convert a solution for all patterns of a scan into the form that is saved."""
    local = solution.canvas.local(solution.positions)
    return Reconstruction(
        object=np.asarray(solution.object),
        coverage=np.asarray(solution.coverage),
        xcoords=local[:, 0],
        ycoords=local[:, 1],
        indices=np.arange(scan.n),
        probe=np.asarray(solution.probe),
        origin=np.asarray(solution.canvas.origin),
        pixel_size_m=scan.pixel_size_m,
    )
