"""Solutions of the solver in the form that is saved."""

from typing import Any

import numpy as np
from array_api_compat import to_device
from ptycho_data import Reconstruction, Scan
from ptycho_physics import Solution

__all__ = ["reconstruction_of"]


def reconstruction_of(solution: Solution, scan: Scan) -> Reconstruction:
    """Convert a solution for all patterns of a scan into the form that is saved."""
    local = solution.canvas.local(solution.positions)
    return Reconstruction.of_scan(
        scan,
        object=_values(solution.object),
        coverage=_values(solution.coverage),
        xcoords=local[:, 0],
        ycoords=local[:, 1],
        indices=np.arange(scan.n),
        probe=_values(solution.probe),
        origin=np.asarray(solution.canvas.origin),
        slices=None if solution.slices is None else _values(solution.slices),
    )


def _values(array: Any) -> Any:
    """Return an array of any library and device as one of NumPy."""
    return np.asarray(to_device(array, "cpu"))
