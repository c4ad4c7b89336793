import math

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics.metrics import frc, half_bit_threshold
from ptycho_physics.objects import random_cells


def noise(seed, shape=(128, 128), parts=2):
    return np.random.default_rng(seed).normal(size=(*shape, parts)) @ [1, 1j][:parts]


@pytest.mark.parametrize("shape", [(64, 64), (65, 80)])
def test_equal_images_correlate_fully_up_to_nyquist(shape):
    image = noise(0, shape)
    curve = frc(image, image)
    np.testing.assert_allclose(curve.correlation, 1)
    assert len(curve.frequency) == min(shape) // 2
    assert curve.frequency[-1] == pytest.approx(0.5, abs=0.5 / min(shape))
    assert curve.cutoff_half == curve.frequency[-1]
    assert curve.resolution_half == pytest.approx(1 / curve.frequency[-1])
    assert not curve.crossed_half
    assert not curve.crossed_half_bit


@pytest.mark.parametrize("parts", [1, 2])
def test_independent_noise_does_not_correlate(parts):
    curve = frc(noise(0, parts=parts), noise(1, parts=parts))
    # One standard deviation is 1 / sqrt(pixels of the ring): 25 at the tenth ring.
    assert np.abs(curve.correlation[5:]).max() < 0.35
    assert abs(np.mean(curve.correlation)) < 0.1
    assert np.mean(curve.correlation > curve.half_bit) < 0.05
    assert curve.cutoff_half < 0.05


def test_curve_of_known_noise():
    # Two noisy copies correlate by signal / (signal + noise) power, at every frequency.
    image = noise(0)
    curve = frc(image + noise(1), image + noise(2))
    assert np.mean(curve.correlation[10:]) == pytest.approx(0.5, abs=0.02)


def test_cutoff_is_where_one_image_ends():
    spectrum = np.fft.fft2(noise(0))
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    common = np.fft.ifft2(np.where(radius < 0.2, spectrum, 0))
    a, b = (common + 0.2 * noise(seed) for seed in (1, 2))
    curve = frc(a, b)
    assert curve.cutoff_half == pytest.approx(0.2, abs=0.015)
    assert curve.cutoff_half_bit == pytest.approx(0.2, abs=0.015)
    assert curve.resolution_half_bit == pytest.approx(5, rel=0.1)
    assert curve.crossed_half
    assert curve.crossed_half_bit


def test_a_global_phase_and_scale_do_not_matter():
    a, b = noise(0) + noise(1), noise(0) + noise(2)
    np.testing.assert_allclose(frc(a, b).correlation, frc(a, b * (3 - 2j)).correlation)


def test_borders_do_not_pass_for_common_detail():
    # A smooth gradient across the picture makes strong streaks in an untapered spectrum.
    gradient = 20 * np.linspace(0, 1, 128)[None, :]
    curve = frc(gradient + noise(0), gradient + noise(1))
    assert np.abs(curve.correlation[12:]).max() < 0.4


def test_sharper_agreement_reaches_further():
    made = random_cells((128, 128)).astype(complex)
    cutoffs = [
        frc(made + level * noise(1), made + level * noise(2)).cutoff_half_bit
        for level in (0.02, 0.1, 0.3)
    ]
    assert cutoffs[0] > cutoffs[1] > cutoffs[2] > 0


def test_half_bit_threshold_is_that_of_the_paper():
    # Large rings: 0.2071 / 1.2071, the correlation at a signal-to-noise ratio of sqrt(2) - 1 over 2
    assert half_bit_threshold(np.array([1e12]))[0] == pytest.approx(0.17157, abs=1e-4)
    assert half_bit_threshold(np.array([1.0]))[0] == pytest.approx(1)
    snr = (math.sqrt(2) - 1) / 2
    assert half_bit_threshold(np.array([1e12]))[0] == pytest.approx(snr / (1 + snr), abs=1e-4)


def test_real_images_have_half_the_independent_pixels():
    real, full = noise(0).real, noise(0)
    assert np.all(frc(real, real).half_bit[:20] > frc(full, full).half_bit[:20])


def test_flat_images_have_no_resolution():
    curve = frc(np.ones((32, 32)), np.ones((32, 32)))
    assert curve.cutoff_half == 0
    assert curve.resolution_half == math.inf


def test_shapes_are_checked():
    with pytest.raises(InvalidValueError) as caught:
        frc(np.ones((32, 32)), np.ones((32, 33)))
    assert caught.value.name == "a"
    with pytest.raises(InvalidValueError) as caught:
        frc(np.ones((7, 32)), np.ones((7, 32)))
    assert caught.value.name == "a"
