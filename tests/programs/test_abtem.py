"""Electrons of 300 kV behind 20 nm of silicon, simulated by abTEM from atoms."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from ptycho_core import solve_scan
from ptycho_data import load_scan

WRITTEN = Path(os.environ["PTYCHO_WRITTEN"])
THICKNESS = 20e-9


def without_ramp(phase):
    """Patterns do not tell a constant and a ramp, which the probe can have as well."""
    rows, columns = np.indices(phase.shape)
    ramp = np.stack([np.ones(phase.size), rows.ravel(), columns.ravel()], axis=1)
    return phase.ravel() - ramp @ np.linalg.lstsq(ramp, phase.ravel(), rcond=None)[0]


def correlation(phase, origin, scan):
    """Return that of the phase and the projected potential, where the positions are."""
    potential = np.load(WRITTEN / "potential.npy")
    x, y = (np.arange(np.ceil(p.min()), p.max(), dtype=int) for p in (scan.xcoords, scan.ycoords))
    found = phase[np.ix_(y - origin[1], x - origin[0])]
    truth = potential[np.ix_(y, x)]
    return np.corrcoef(without_ramp(found), without_ramp(truth))[0, 1]


@pytest.fixture(scope="module", params=[1, 10], ids=["thin", "10 slices"])
def solved(request):
    """Return the number of slices, R-factors, and the correlation with the potential."""
    scan, number = load_scan(WRITTEN / "scan.npz"), request.param
    optics = {"slices": number, "slice_thickness_m": THICKNESS / number} if number > 1 else {}
    result = solve_scan(scan, epochs=40, held_out=0.1, update_probe=True, **optics)
    found = result.reconstruction
    slices = found.object[None] if found.slices is None else found.slices
    likeness = correlation(np.angle(slices).sum(axis=0), found.origin, scan)
    over, held = result.metrics["r_over_noise"], result.fitted.held_out.r_factor
    sys.stdout.write(f"{number}: R {over:.2f} x noise, held out {held:.3f}, {likeness:.4f}\n")
    return number, over, held, likeness


def test_slices_find_the_potential_where_a_thin_object_does_not(solved):
    number, over, held, likeness = solved
    if number == 1:
        assert over > 4
        assert held > 0.3
        assert likeness < 0.9
    else:
        assert over < 1.8
        assert held < 0.18
        assert likeness > 0.985
