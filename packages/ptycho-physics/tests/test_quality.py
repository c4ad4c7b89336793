import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_physics.losses import amplitude_mae
from ptycho_physics.metrics import (
    compare,
    complex_correlation,
    global_factor,
    noise_r_factor_sums,
    psnr,
    r_factor,
    ssim,
    wrap,
)


def noise(seed, shape=(32, 40), scale=1.0):
    generator = np.random.default_rng(seed)
    return scale * (generator.normal(size=shape) + 1j * generator.normal(size=shape))


@settings(deadline=None)  # a busy machine is not a failure
@given(st.floats(-100, 100))
def test_wrap_is_the_same_angle_in_range(angle):
    wrapped = float(wrap(np.array(angle)))
    assert abs(wrapped) <= math.pi
    assert math.cos(wrapped) == pytest.approx(math.cos(angle), abs=1e-12)
    assert math.sin(wrapped) == pytest.approx(math.sin(angle), abs=1e-12)


def test_global_factor_is_recovered():
    image = noise(0)
    assert global_factor(image, (2 - 1j) * image) == pytest.approx(2 - 1j)
    assert global_factor(np.zeros_like(image), image) == 0


def test_global_factor_is_the_best():
    image, reference = noise(0), noise(0) + noise(1)
    best = global_factor(image, reference)
    errors = [
        np.linalg.norm((best + d) * image - reference) for d in (0, 0.01, -0.01, 0.01j, -0.01j)
    ]
    assert min(errors) == errors[0]


@settings(deadline=None)  # a busy machine is not a failure
@given(st.complex_numbers(min_magnitude=0.1, max_magnitude=10))
def test_correlation_ignores_a_factor(factor):
    image = noise(0)
    assert complex_correlation(image, factor * image) == pytest.approx(1)


def test_correlation_of_known_noise():
    # <a, a + n> / |a| |a + n| = 1 / sqrt(1 + noise power / signal power)
    image = noise(0, (300, 300))
    noisy = image + noise(1, (300, 300), 0.5)
    assert complex_correlation(image, noisy) == pytest.approx(1 / math.sqrt(1.25), abs=5e-3)


def test_a_flat_guess_correlates_until_the_mean_is_removed():
    image, flat = 3 + noise(0), np.ones((32, 40), complex)
    assert complex_correlation(flat, image) > 0.85
    assert complex_correlation(flat, image, mean_removed=True) == 0
    assert complex_correlation(0 * flat, image) == 0


def test_psnr_of_known_noise():
    reference = np.zeros((200, 200))
    image = np.random.default_rng(0).normal(scale=0.02, size=reference.shape)
    assert psnr(image, reference, 2.0) == pytest.approx(40, abs=0.1)
    assert psnr(reference + 0.2, reference, 2.0) == pytest.approx(20)
    assert psnr(reference, reference, 1.0) == math.inf


def test_ssim_of_equal_images_is_one_and_of_unrelated_ones_small():
    a, b = noise(0).real, noise(1).real
    assert ssim(a, a, 1.0) == pytest.approx(1)
    assert abs(ssim(a, b, 6.0)) < 0.1


def test_ssim_of_flat_images_compares_their_means():
    a, b, L = 0.8, 0.5, 1.0
    c1 = (0.01 * L) ** 2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert ssim(np.full((16, 20), a), np.full((16, 20), b), L) == pytest.approx(expected)


def test_ssim_of_scaled_detail_is_its_contrast():
    # Zero local mean does not exist exactly; a fast checkerboard comes close.
    board = (np.indices((40, 40)).sum(axis=0) % 2) * 2.0 - 1
    gain = 0.5
    c2 = 0.03**2
    variance = 1.0
    expected = (2 * gain * variance + c2) / ((1 + gain**2) * variance + c2)
    assert ssim(gain * board, board, 1.0) == pytest.approx(expected, rel=1e-3)
    assert ssim(-gain * board, board, 1.0) == pytest.approx(-expected, rel=2e-3)


def test_r_factor_of_a_scaled_rate():
    counts = np.random.default_rng(0).poisson(9.0, (3, 8, 8)).astype(np.float32)
    assert r_factor(counts, counts) == 0
    assert r_factor(4 * counts, counts) == pytest.approx(1)


def test_r_factor_is_the_amplitude_loss_over_the_amplitude_without_bad_pixels():
    generator = np.random.default_rng(0)
    counts = generator.poisson(5.0, (3, 8, 8)).astype(np.float64)
    rate = generator.uniform(3, 7, counts.shape)
    mask = np.zeros((8, 8), bool)
    mask[2, 3] = True
    expected = np.sum(amplitude_mae(rate, counts, mask)) / np.sum(np.sqrt(counts)[:, ~mask])
    assert r_factor(rate, counts, mask) == pytest.approx(expected, rel=1e-3)
    counts[:, 2, 3] = 1e9
    assert r_factor(rate, counts, mask) == pytest.approx(expected, rel=1e-3)


def test_r_factor_of_integer_counts_does_not_overflow():
    counts = np.full((1, 4, 4), 65535, np.uint16)
    assert r_factor(counts, counts) == 0
    assert r_factor(np.zeros((1, 4, 4)), counts) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: psnr(np.ones((4, 4)), np.ones((4, 5)), 1.0), "image"),
        (lambda: psnr(np.ones((4, 4)), np.ones((4, 4)), 0.0), "data_range"),
        (lambda: ssim(np.ones((10, 20)), np.ones((10, 20)), 1.0), "image"),
        (lambda: complex_correlation(np.ones((4, 4)), np.ones((5, 4))), "a"),
        (lambda: r_factor(np.ones((1, 4, 4)), np.zeros((1, 4, 4))), "counts"),
        (lambda: r_factor(np.ones((4, 4)), np.ones((4, 4)), np.ones((4, 4), bool)), "counts"),
    ],
)
def test_what_cannot_be_compared_is_named(call, name):
    with pytest.raises(InvalidValueError) as caught:
        call()
    assert caught.value.name == name


def test_arrays_of_any_library_are_taken(any_library, rng):
    a, b = rng.uniform(1, 2, (2, 16, 16))
    ranged = (partial(figure, data_range=1.0) for figure in (psnr, ssim))
    for figure in (complex_correlation, r_factor, *ranged):
        found = figure(any_library.array(a), any_library.array(b))
        assert isinstance(found, float)
        assert found == figure(a, b)
    fields = [a + 1j * b, b + 1j * a]
    found = compare(*(any_library.array(field) for field in fields))
    assert found.to_dict() == compare(*fields).to_dict()


@pytest.mark.parametrize("rate", [1e-7, 1e-3, 0.1, 1.0, 7.3, 300.0, 2e4])
def test_the_r_factor_of_photon_noise_is_that_of_drawn_counts(rate):
    counts = np.random.default_rng(0).poisson(rate, 400_000)
    misfit, total = noise_r_factor_sums(np.full(3, rate))
    assert misfit / 3 == pytest.approx(np.abs(np.sqrt(counts) - np.sqrt(rate)).mean(), rel=0.01)
    # The roots of few photons scatter widely: of 1e-7, none of these counts is one.
    assert total / 3 == pytest.approx(np.sqrt(counts).mean(), rel=0.05 if rate < 0.1 else 0.01)
