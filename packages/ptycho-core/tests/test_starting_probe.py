import attrs
import numpy as np
import pytest
from ptycho_core.starting_probe import (
    light_varies,
    neighbourhood,
    refine_probe,
    similarity,
    spread_part,
    start_cautions,
)
from ptycho_core.testing import random_scan
from ptycho_data import Scan
from ptycho_physics import defocused_probe, fermat_scan, random_cells, simulate_counts
from scipy.spatial.distance import pdist


def refocused(probe, cycles):
    """Probe propagated further, by this many cycles of phase at the largest frequency."""
    q = np.fft.fftfreq(probe.shape[-1]) / 0.5
    phase = np.exp(2j * np.pi * cycles * (q[:, None] ** 2 + q[None] ** 2))
    return np.fft.ifft2(np.fft.fft2(probe) * phase).astype(np.complex64)


@pytest.fixture(scope="module")
def scan():
    truth, probe = random_cells((150, 156), radius=(6, 14), seed=0), defocused_probe(64)
    positions = fermat_scan(truth.shape, 64, number=100, seed=0)
    return Scan(
        diffraction=simulate_counts(truth, probe, positions, photons=1e6, seed=0),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
    )


def codes(scan, **more):
    return [caution.code for caution in start_cautions(scan, **more)]


def test_the_right_probe_is_not_doubted(scan):
    assert codes(scan) == []


def test_a_poor_probe_is_named_with_both_numbers(scan):
    wrong = refocused(scan.probe, 3)
    (caution,) = start_cautions(attrs.evolve(scan, probe=wrong))
    assert caution.code == "poor-probe"
    assert "--refine-probe" in caution.text
    assert caution.measured["r_over_noise"] > 1.5 * caution.measured["r_over_noise_refined"]
    assert codes(scan, probe=wrong) == ["poor-probe"]


def test_wrong_signs_are_not_blamed_on_the_probe(scan):
    assert codes(attrs.evolve(scan, xcoords=-scan.xcoords)) == ["poor-start"]


def test_a_few_patterns_say_nothing():
    assert codes(random_scan(12)) == []


def test_refinement_finds_the_probe(scan):
    wrong = refocused(scan.probe, 3)
    found = refine_probe(scan, wrong)
    assert similarity(scan.probe, wrong) < 0.9 < 0.97 < similarity(scan.probe, found.probe)
    assert not found.cautions
    assert found.record["epochs"] <= 40
    assert found.record["patterns"] == 100
    assert found.record["r_over_noise"] < 1.5
    flipped = refine_probe(attrs.evolve(scan, xcoords=-scan.xcoords))
    assert [caution.code for caution in flipped.cautions] == ["poor-start"]


def test_similarity_does_not_depend_on_the_basis_of_modes():
    rng = np.random.default_rng(0)
    modes = rng.normal(size=(2, 8, 8)) + 1j * rng.normal(size=(2, 8, 8))
    turned = np.tensordot([[0.6, 0.8], [-0.8, 0.6]], modes, axes=1)
    assert similarity(modes, 3j * turned) == pytest.approx(1)
    assert similarity(modes, modes[::-1] * [[[1]], [[0]]]) < 0.95


def test_a_part_of_a_scan_is_one_neighbourhood(scan):
    part = neighbourhood(scan, 20)
    assert part.n == 20
    middle = np.median(scan.positions, axis=0)
    distances = np.linalg.norm(scan.positions - middle, axis=1)
    np.testing.assert_allclose(
        np.sort(np.linalg.norm(part.positions - middle, axis=1)), np.sort(distances)[:20]
    )
    assert neighbourhood(scan, 100) is scan


def raster(side, step):
    x, y = np.meshgrid(np.arange(side) * step, np.arange(side) * step)
    return Scan(
        diffraction=np.ones((side**2, 64, 64), np.float32),
        xcoords=x.ravel(),
        ycoords=y.ravel(),
        probe=np.ones((64, 64), np.complex64),
        domain="counts",
    )


@pytest.mark.parametrize(("step", "apart"), [(0.5, 2.0), (1.0, 2.0), (2.0, 2.0), (5.0, 5.0)])
def test_patterns_that_see_the_same_are_left_out(step, apart):
    part = spread_part(raster(40, step), 64)
    assert part.n == 64
    assert min(distance for distance in pdist(part.positions)) == pytest.approx(apart)


def test_a_small_scan_is_used_as_far_as_it_goes():
    small = raster(12, 0.1)
    assert spread_part(small, 200).n == 144
    part = spread_part(small, 100)
    assert part.n == 100
    assert np.ptp(part.positions, axis=0).max() == pytest.approx(1.1, abs=0.15)


def test_light_varies_if_it_does_by_more_than_its_noise():
    rng = np.random.default_rng(0)
    steady = raster(10, 2.0)
    for photons, rms, varies in ((1e2, 0.3, False), (2e4, 0.0, False), (2e4, 0.1, True),
                                 (1e6, 0.1, True), (1e6, 0.01, False)):  # fmt: skip
        light = 1 + rms * rng.normal(size=steady.n)
        rates = np.full(steady.diffraction.shape, photons / 64**2) * light[:, None, None]
        counts = rng.poisson(np.maximum(rates, 0)).astype(np.float32)
        assert light_varies(attrs.evolve(steady, diffraction=counts)) == varies
