import attrs
import numpy as np
import pytest
from ptycho_config import InvalidValueError
from ptycho_core import solve_scan
from ptycho_core.analysis.verdict import Verdict, judge
from ptycho_data import Scan
from ptycho_physics import defocused_probe, fermat_scan, random_cells, simulate_counts


def simulated(photons, **more):
    object_, probe = random_cells((110, 120), seed=0), defocused_probe(32)
    positions = fermat_scan(object_.shape, 32, number=120, seed=0)
    counts = simulate_counts(object_, probe, positions, photons=photons, seed=0)
    values = {"diffraction": counts.astype(np.float32), "probe": probe, "domain": "counts"}
    x, y = positions.T
    return Scan(xcoords=x, ycoords=y, **values | more)


@pytest.mark.parametrize("photons", [1e4, 1e6])
def test_right_and_wrong_results_are_told_apart(photons):
    scan = simulated(photons)
    right = solve_scan(scan, epochs=30).verdict
    mirrored = solve_scan(attrs.evolve(scan, xcoords=-scan.xcoords), epochs=30).verdict
    assert 0.8 < right.ratio < 1.15
    assert not right.cautions()
    assert mirrored.ratio > 1.15
    assert [caution.code for caution in mirrored.cautions()] == ["poor-fit"]


def test_bad_pixels_take_no_part():
    scan = simulated(1e5)
    bad = np.zeros((32, 32), bool)
    bad[3, 5:9] = True
    broken = np.where(bad, 1e7, scan.diffraction).astype(np.float32)
    masked = attrs.evolve(scan, diffraction=broken, bad_pixels=bad, known_totals=None)
    assert solve_scan(masked, epochs=30).verdict.ratio < 1.1


def test_amplitudes_need_a_scale():
    scan = simulated(1e5)
    rec = solve_scan(scan, epochs=3).reconstruction
    values = np.sqrt(scan.diffraction) / np.sqrt(scan.diffraction.max())
    amplitudes = attrs.evolve(scan, diffraction=values, domain="amplitude", known_totals=None)
    unknown = judge(rec, amplitudes)
    assert (unknown.noise, unknown.ratio, unknown.doubtful) == (None, None, False)
    assert unknown.r_factor == pytest.approx(judge(rec, scan).r_factor, rel=1e-3)
    photons = scan.mean_photons()
    assert judge(rec, amplitudes, photons).ratio == pytest.approx(judge(rec, scan).ratio, rel=1e-3)


def test_a_small_misfit_is_not_doubted_for_the_many_photons_of_a_scan():
    verdict = Verdict(r_factor=0.05, noise=0.001)
    assert verdict.ratio == pytest.approx(50)
    assert not verdict.doubtful


def test_a_result_of_absurd_size_has_no_verdict():
    scan = simulated(1e5)
    rec = solve_scan(scan, epochs=1).reconstruction
    with pytest.raises(InvalidValueError) as caught:
        judge(attrs.evolve(rec, object=rec.object * np.float32(1e30)), scan)
    assert caught.value.name == "R-factor"
