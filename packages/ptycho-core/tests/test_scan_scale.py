import numpy as np
import pytest
from attrs import evolve
from ptycho_config.errors import InvalidValueError
from ptycho_core.scan_scale import mean_counts, truth_gain, truth_patches
from ptycho_physics import extract_patches

INDICES = np.arange(20)


def test_mean_counts_of_part_of_a_scan(scan):
    some = np.array([1, 5, 30])
    expected = scan.counts(some).sum((1, 2)).mean()
    assert mean_counts(scan, some, None, scan.probe) == pytest.approx(expected, rel=1e-5)


def test_truth_comes_from_the_object_or_from_y(scan):
    some = np.array([3, 9])
    cut = truth_patches(scan, some)
    assert cut.shape == (2, 64, 64)
    own = evolve(scan, patches=np.full((scan.n, 64, 64), 2j, dtype=np.complex64))
    assert (truth_patches(own, some) == 2j).all()
    with pytest.raises(InvalidValueError, match="objectGuess or Y"):
        truth_patches(evolve(scan, object_guess=None), some)


def test_dark_patterns_have_no_scale(scan):
    dark = evolve(scan, diffraction=0 * scan.diffraction)
    with pytest.raises(InvalidValueError, match="the scan"):
        mean_counts(dark, np.arange(3), None, scan.probe)


def test_mean_counts_makes_up_for_bad_pixels(scan):
    whole = mean_counts(scan, INDICES, None, scan.probe)
    assert whole == pytest.approx(scan.counts(INDICES).sum() / 20, rel=1e-5)
    stop = np.zeros((64, 64), bool)
    stop[24:40, 24:32] = True
    stopped = mean_counts(evolve(scan, bad_pixels=stop), INDICES, None, scan.probe)
    assert stopped == pytest.approx(whole, rel=0.15)
    assert scan.counts(INDICES)[:, stop].sum() > 0.01 * 20 * whole


def test_truth_is_cut_out_of_the_object_or_taken_as_it_is(scan):
    cut = truth_patches(scan, INDICES)
    np.testing.assert_array_equal(
        cut, extract_patches(scan.object_guess, scan.positions[INDICES], 64)
    )
    own = np.full((scan.n, 64, 64), 2 + 0j, np.complex64)
    assert (truth_patches(evolve(scan, patches=own), INDICES) == 2).all()
    assert truth_gain(evolve(scan, patches=own), INDICES, scan.probe) == pytest.approx(2, rel=1e-5)
