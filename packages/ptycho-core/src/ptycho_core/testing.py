"""Scans and checks that the tests of several packages share."""

import numpy as np
from ptycho_data import Scan, scan_from_arrays
from ptycho_physics import defocused_probe, random_cells, simulate_counts, snake_scan

__all__ = ["random_scan", "simulated_scan"]

PHOTONS = 1e5


def simulated_scan(number: int = 48, *, seed: int = 2) -> Scan:
    """Return a scan of 64 x 64 counts with its ground truth, which every test can afford.

    Parameters
    ----------
    number
        Patterns.
    seed
        Of the object; that of positions and noise follows from it.
    """
    truth = random_cells((120, 124), radius=(6, 14), seed=seed)
    positions = snake_scan(truth.shape, 64, number=number, jitter=0.4, seed=seed - 1)
    probe = defocused_probe(64)
    return Scan(
        diffraction=simulate_counts(truth, probe, positions, PHOTONS, seed=seed + 1),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
        object_guess=truth,
    )


def random_scan(n: int = 12, N: int = 8) -> Scan:
    """Return a valid scan of random numbers, for what does not look at the physics."""
    rng = np.random.default_rng(3)
    return scan_from_arrays(
        {
            "diffraction": rng.poisson(40, (n, N, N)).astype(np.uint16),
            "xcoords": rng.uniform(10, 60, n),
            "ycoords": rng.uniform(10, 50, n),
            "probeGuess": np.exp(1j * rng.normal(size=(2, N, N))).astype(np.complex64),
            "domain": np.array("counts"),
        }
    )
