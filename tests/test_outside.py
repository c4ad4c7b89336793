"""What the universal network was not made for: the verdict on its result says so."""

import pytest
from attrs import evolve
from ptycho_core import reconstruct
from ptycho_core.simulation import simulate_scan
from ptycho_core.simulation_parts import SimulationParts
from ptycho_physics import defocused_probe

N = 64


PARTS = SimulationParts(probe=defocused_probe(N, 20)).completed(
    object_source="random", object_size=110, n_patterns=80, seed=0
)


@pytest.fixture(scope="module")
def scan():
    """Simulate a scan as the network knows them."""
    return simulate_scan(PARTS, photons=1e6, seed=0)


def wrong_probe(scan):
    """Of the other sign of defocus, and of another aperture."""
    return evolve(scan, probe=defocused_probe(N, -40, aperture=0.8))


def swapped_axes(scan):
    """Columns for rows."""
    return evolve(scan, xcoords=scan.ycoords, ycoords=scan.xcoords)


def near_field(scan):
    """Patterns of a detector close behind the sample, stated to be those of the far field."""
    close = simulate_scan(PARTS, photons=1e6, seed=0, near_field=0.1)
    return evolve(scan, diffraction=close.diffraction)


def test_a_usual_scan_is_not_doubted(scan):
    assert not reconstruct("universal", scan).verdict.doubtful


@pytest.mark.parametrize("outside", [wrong_probe, swapped_axes, near_field])
def test_a_scan_outside_is_doubted(scan, outside):
    found = reconstruct("universal", outside(scan))
    assert found.verdict.doubtful
    assert any("R-factor" in caution.text for caution in found.verdict.cautions(network=True))
