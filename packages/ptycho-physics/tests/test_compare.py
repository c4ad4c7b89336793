import json
import math

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics.metrics import compare, ramp_phase, shift_image
from ptycho_physics.objects import line_object, random_cells


@pytest.fixture(scope="module")
def scene():
    return random_cells((136, 140), seed=1).astype(complex)


def test_the_reference_itself_is_perfect(scene):
    result = compare(scene, scene)
    assert result.correlation == pytest.approx(1)
    assert result.mean_removed_correlation == pytest.approx(1)
    assert result.amplitude_psnr > 200
    assert result.phase_psnr > 200
    assert result.amplitude_ssim == pytest.approx(1)
    assert result.phase_ssim == pytest.approx(1)
    assert result.frc.correlation.min() == pytest.approx(1)
    assert result.shift == (0.0, 0.0)
    assert result.ramp == (0.0, 0.0)
    assert result.factor == pytest.approx(1)
    assert result.aligned.shape == scene.shape


def test_shift_and_factor_are_removed(scene):
    moved = shift_image(scene, (-2.3, 1.6))[20:-20, 20:-20] * (2 + 1j)
    result = compare(moved, scene[20:-20, 20:-20])
    np.testing.assert_allclose(result.shift, (2.3, -1.6), atol=0.02)
    assert result.factor == pytest.approx(1 / (2 + 1j), rel=1e-2)
    assert result.correlation > 0.9999
    assert result.amplitude_psnr > 40
    assert result.phase_psnr > 40
    assert result.aligned.shape == result.reference.shape == (96 - 8, 100 - 10)


@pytest.mark.parametrize("ramp", [(0.01, -0.02), (0.21, 0.13)])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (-3.4, 2.7)])
def test_ramp_is_removed_if_asked(scene, ramp, shift):
    moved = shift_image(scene, (-shift[0], -shift[1]))[20:-20, 20:-20]
    tilted = moved * ramp_phase(moved.shape, (-ramp[0], -ramp[1]))
    target = scene[20:-20, 20:-20]
    result = compare(tilted, target, remove_ramp=True)
    np.testing.assert_allclose(result.ramp, ramp, atol=2e-3)
    np.testing.assert_allclose(result.shift, shift, atol=0.05)
    assert result.correlation > 0.9995
    assert compare(tilted, target).correlation < result.correlation - 1e-3
    assert compare(tilted, target).ramp == (0.0, 0.0)


def test_phase_error_of_known_size(scene):
    generator = np.random.default_rng(0)
    noisy = scene * np.exp(0.05j * generator.normal(size=scene.shape))
    result = compare(noisy, scene, max_shift=0)
    phase_range = np.ptp(np.angle(scene))
    assert result.phase_psnr == pytest.approx(20 * math.log10(phase_range / 0.05), abs=0.1)
    assert result.amplitude_psnr > 45  # the factor alone shrinks it, by 0.1 per cent
    assert result.phase_ssim < 0.99
    assert result.amplitude_ssim > 0.999


def test_amplitude_error_of_known_size(scene):
    generator = np.random.default_rng(0)
    error = 0.02 * generator.normal(size=scene.shape)
    noisy = (np.abs(scene) + error) * np.exp(1j * np.angle(scene))
    result = compare(noisy, scene, max_shift=0)
    amplitude_range = np.ptp(np.abs(scene))
    assert result.amplitude_psnr == pytest.approx(20 * math.log10(amplitude_range / 0.02), abs=0.1)
    assert result.phase_psnr > 60


def test_phase_that_wraps_is_compared_modulo_two_pi(scene):
    turned, target = scene * np.exp(3.1j), scene * np.exp(-2.9j)
    result = compare(turned, target)
    assert result.phase_psnr > 200
    assert result.phase_ssim == pytest.approx(1)
    steep = line_object((96, 96), phase=(-3.0, 3.0)).astype(complex)
    noise = np.random.default_rng(0).normal(size=steep.shape)
    near = compare(steep * np.exp(0.1j * noise), steep, max_shift=0)
    expected = 20 * math.log10(2 * math.pi / 0.1)
    assert near.phase_psnr == pytest.approx(expected, abs=1)


def test_a_flat_guess_has_no_mean_removed_correlation(scene):
    result = compare(np.ones_like(scene), scene)
    assert result.correlation > 0.7
    assert result.mean_removed_correlation < 1e-9
    assert result.frc.cutoff_half == 0
    assert result.shift == (0.0, 0.0)


def test_a_black_reconstruction_scores_zero(scene):
    result = compare(0 * scene, scene)
    assert result.correlation == 0
    assert result.factor == 0
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_flat_reference_uses_its_mean_and_pi():
    flat = np.full((32, 32), 2.0 + 0j)
    generator = np.random.default_rng(0)
    noisy = flat * np.exp(0.1j * generator.normal(size=flat.shape))
    result = compare(noisy, flat, max_shift=0)
    assert result.phase_psnr == pytest.approx(20 * math.log10(math.pi / 0.1), abs=0.5)


def test_small_images_are_compared_without_a_search():
    made = random_cells((16, 20)).astype(complex)
    assert compare(made, made).correlation == pytest.approx(1)


def test_to_dict_is_json_without_infinities(scene):
    result = compare(scene, scene)
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert read["correlation"] == pytest.approx(1)
    assert read["shift"] == [0, 0]
    assert read["frc"]["correlation"] == pytest.approx([1] * 68)
    assert len(read["frc"]["half_bit"]) == 68
    assert read["shape"] == [136, 140]
    exact = compare(np.ones((32, 32)), np.ones((32, 32))).to_dict()
    assert exact["amplitude_psnr"] is None


@pytest.mark.parametrize(
    ("images", "name"),
    [
        ((np.ones((32, 32)), np.ones((32, 33))), "reconstruction"),
        ((np.ones((15, 32)), np.ones((15, 32))), "reconstruction"),
        ((np.ones(32), np.ones(32)), "reconstruction"),
        ((np.full((32, 32), np.nan), np.ones((32, 32))), "reconstruction"),
        ((np.ones((32, 32)), np.full((32, 32), np.inf)), "reference"),
        ((np.ones((32, 32)), np.zeros((32, 32))), "reference"),
    ],
)
def test_what_cannot_be_compared_is_named(images, name):
    with pytest.raises(InvalidValueError) as caught:
        compare(*images)
    assert caught.value.name == name


def test_a_slow_phase_error_is_not_taken_for_a_shift():
    rng = np.random.default_rng(3)
    truth = random_cells((90, 92), radius=(6, 14), seed=1)
    y, x = np.mgrid[-1:1:90j, -1:1:92j]
    drift = np.exp(1j * (0.6 * x * y + 0.4 * y**2))
    noise = 0.02 * (rng.normal(size=truth.shape) + 1j * rng.normal(size=truth.shape))
    assert compare(truth * drift + noise, truth).shift == (0.0, 0.0)
