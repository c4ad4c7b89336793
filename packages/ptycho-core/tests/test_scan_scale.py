import numpy as np
import pytest
from attrs import evolve
from ptycho_config.errors import InvalidValueError
from ptycho_core.scan_scale import mean_counts, truth_patches


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
