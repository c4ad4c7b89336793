"""The rotation between scan and detector is found, also at few counts, or left undecided."""

import re

import numpy as np
import pytest
from attrs import evolve
from ptycho_core.preparing.positions import stage_positions
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.preparing.rotation import find_rotation, still_turned, turned
from ptycho_core.preparing.start import with_rotation
from ptycho_data import Scan
from ptycho_data.raw import RawScan
from ptycho_physics import random_cells, simulate_counts, snake_scan
from ptycho_physics.optics import electron_probe

N, PIXEL, ELECTRONS_EACH = 64, 0.4e-9, 8000
OPTICS = {"wavelength_m": 1.96875e-12, "semi_angle_rad": 1.03e-3, "defocus_m": -6e-6}
WITHIN = 4.0
"""Degrees, at 8000 electrons per pattern."""


@pytest.fixture(scope="module")
def truth():
    """Return electrons of 300 kV through a weak object, with the right probe and positions."""
    probe = electron_probe(N, pixel_size_m=PIXEL, **OPTICS)
    phase = np.angle(random_cells((112, 112), radius=(3, 8), seed=3))
    positions = snake_scan(phase.shape, N, number=49, jitter=0.5, seed=4)
    counts = simulate_counts(np.exp(0.5j * phase), probe, positions, ELECTRONS_EACH, seed=5)
    return Scan(
        diffraction=counts,
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
        particle="electron",
        photon_energy_ev=300e3,
        pixel_size_m=PIXEL,
    )


def on_the_stage(scan, degrees, *, mirrored):
    """Return a scan that has to be mirrored and then turned to be right."""
    back = turned(scan, -degrees)
    return turned(back, 0.0, mirrored=True) if mirrored else back


def off(found, degrees):
    return abs((found - degrees + 180) % 360 - 180)


@pytest.mark.parametrize(("degrees", "mirrored"), [(17, True), (-83, False)])
def test_a_known_probe_tells_angle_and_mirror(truth, degrees, mirrored):
    found = find_rotation(on_the_stage(truth, degrees, mirrored=mirrored))
    assert found.decided
    assert not found.twin
    assert found.mirrored == mirrored
    assert off(found.degrees, degrees) < WITHIN
    assert f"--rotate {found.degrees:.1f}" in found.describe()


def test_an_unknown_probe_is_found_together_with_the_angle(truth):
    scan = evolve(on_the_stage(truth, 17, mirrored=False), probe_made=True)
    found = find_rotation(scan, mirrors=False)
    assert found.decided
    assert found.twin
    ahead = found.first_probe.defocus_m < 0  # else the twin was found
    assert off(found.degrees, 17 if ahead else -163) < WITHIN
    assert abs(found.first_probe.defocus_m) == pytest.approx(6e-6, rel=0.1)


def test_noise_decides_nothing(truth):
    rng = np.random.default_rng(0)
    mean = np.asarray(truth.diffraction).mean(axis=0)
    noise = rng.poisson(mean, truth.diffraction.shape).astype(np.uint16)
    found = find_rotation(evolve(truth, diffraction=noise))
    assert not found.decided
    assert "not decided" in found.describe()


def test_a_few_degrees_are_told(truth):
    bright = simulate_counts(
        random_cells((112, 112), radius=(3, 8), seed=3), truth.probe, truth.positions, 1e5, seed=6
    )
    scan = evolve(truth, diffraction=bright)
    assert still_turned(scan) is None
    assert re.search(r"about \+[456] degrees", still_turned(turned(scan, -5)))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("recipe", [Recipe(), Recipe(swap_xy=True, flip_x=True, rotate="auto")])
def test_a_recipe_with_a_rotation_does_both(truth, recipe, mirrored):
    x, y = truth.positions.T
    raw = RawScan(frames=np.zeros((len(x), 4, 4)), x_m=x, y_m=y)
    first = stage_positions(raw, recipe)
    expected = turned(evolve(truth, xcoords=first[:, 0], ycoords=first[:, 1]), 17.25,
                      mirrored=mirrored).positions  # fmt: skip
    settled = with_rotation(recipe, 17.25, mirrored=mirrored)
    found = stage_positions(raw, settled)
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-9)
    assert not settled.orientation_wanted
    assert not settled.rotation_wanted("electron")


def test_a_rotation_is_wanted_of_electrons_or_by_name():
    assert Recipe().rotation_wanted("electron")
    assert not Recipe().rotation_wanted("photon")
    assert not Recipe(rotate="3").rotation_wanted("electron")
    assert not Recipe(flip_x=True).rotation_wanted("electron")
    assert Recipe(flip_x=True, rotate="auto").rotation_wanted("photon")
