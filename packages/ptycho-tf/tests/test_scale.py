import numpy as np
import pytest
from attrs import evolve
from ptycho_core.scan_scale import mean_counts, truth_gain, truth_patches
from ptycho_physics import extract_patches

INDICES = np.arange(20)


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
    with pytest.raises(ValueError, match="objectGuess or Y: needed"):
        truth_patches(evolve(scan, object_guess=None), INDICES)
