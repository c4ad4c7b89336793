"""Solutions of the solver in the form that is saved."""

import numpy as np
from ptycho_data import Reconstruction, Scan
from ptycho_physics import Solution

__all__ = ["reconstruction_of"]


def reconstruction_of(solution: Solution, scan: Scan) -> Reconstruction:
    """Convert a solution for all patterns of a scan into the form that is saved."""
    local = solution.canvas.local(solution.positions)
    return Reconstruction.of_scan(
        scan,
        object=np.asarray(solution.object),
        coverage=np.asarray(solution.coverage),
        xcoords=local[:, 0],
        ycoords=local[:, 1],
        indices=np.arange(scan.n),
        probe=np.asarray(solution.probe),
        origin=np.asarray(solution.canvas.origin),
    )
