"""The scans that the benchmark programs make for themselves, always the same ones."""

from __future__ import annotations

import numpy as np
from ptycho_data import Scan
from ptycho_physics import defocused_probe, random_cells, random_scan, simulate_counts

PHOTONS = 1e6


def make_scan(n: int, N: int, *, seed: int = 0) -> Scan:
    """Make a scan of n patterns of N x N pixels on an object of 3.5 N x 3.5 N pixels.

    The object does not grow with n: more patterns overlap more.
    """
    side = 7 * N // 2
    truth = random_cells((side, side), radius=(N // 10, N // 4), seed=seed)
    positions = random_scan(truth.shape, N, number=n, seed=seed)
    probe = np.asarray(defocused_probe(N), dtype=np.complex64)
    return Scan(
        diffraction=simulate_counts(truth, probe, positions, PHOTONS, seed=seed),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
        object_guess=np.asarray(truth, dtype=np.complex64),
    )
