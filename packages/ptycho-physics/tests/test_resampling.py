import numpy as np
import pytest
from ptycho_physics.resampling import multiscale_matrices, refiner, smoother
from scipy.ndimage import gaussian_filter1d


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize(("N", "sigma"), [(32, 2.0), (64, 4.0), (96, 9.0)])
def test_smoothing_is_a_periodic_gaussian_filter(N, sigma, stride):
    line = np.random.default_rng(0).normal(size=N)
    # the filter samples its Gaussian in space, ours in frequency
    expected = gaussian_filter1d(line, sigma, mode="wrap", truncate=8)[::stride]
    np.testing.assert_allclose(smoother(N, stride, sigma) @ line, expected, atol=1e-4)


@pytest.mark.parametrize("N", [32, 96])
def test_smoothing_keeps_what_is_flat(N):
    np.testing.assert_allclose(smoother(N, 4, 3.0).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("frequency", "stride"), [(0, 4), (1, 4), (7, 4), (15, 2)])
def test_refining_is_exact_for_waves_that_the_coarse_line_holds(frequency, stride):
    wave = np.cos(2 * np.pi * frequency * np.arange(64) / 64 + 0.3)
    np.testing.assert_allclose(refiner(64, stride) @ wave[::stride], wave, atol=1e-6)


@pytest.mark.parametrize("stride", [2, 4])
def test_refining_keeps_the_pixels_there_were(stride):
    coarse = np.random.default_rng(1).normal(size=16)
    np.testing.assert_allclose((refiner(16 * stride, stride) @ coarse)[::stride], coarse, atol=1e-5)


def test_a_guide_goes_from_coarse_to_fine_in_equal_ratios():
    fine, smoothing = multiscale_matrices(64, 4, 0.2, 0.05, 3)
    np.testing.assert_array_equal(fine, refiner(64, 4))
    for found, sigma in zip(smoothing, (12.8, 6.4, 3.2), strict=True):
        np.testing.assert_allclose(found, smoother(64, 4, sigma), atol=1e-7)
