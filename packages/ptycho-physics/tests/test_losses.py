import math

import numpy as np
import pytest
from ptycho_physics import (
    amplitude_mae,
    complex_mae,
    expected_counts,
    gaussian_probe,
    gentleness,
    likelihood_background,
    poisson_deviance,
    poisson_nll,
    total_variation,
)
from ptycho_physics.losses import BACKGROUND, GENTLE_START, SMALLEST_RATE


def as_arrays(library, *values):
    return tuple(library.array(np.asarray(v)) for v in values)


def test_poisson_nll_is_the_written_out_sum(library, rng):
    rate, counts = rng.uniform(0.1, 9, (3, 4, 4)), rng.poisson(4, (3, 4, 4)).astype(float)
    found = library.numpy(poisson_nll(*as_arrays(library, rate, counts)))
    expected = (rate - counts * np.log(rate + SMALLEST_RATE)).sum((1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_constant_makes_it_the_log_probability(library, rng):
    rate, counts = rng.uniform(0.1, 900, (2, 4, 4)), rng.integers(0, 900, (2, 4, 4)).astype(float)
    found = library.numpy(poisson_nll(*as_arrays(library, rate, counts), constant=True))
    log_probability = counts * np.log(rate) - rate - np.vectorize(math.lgamma)(counts + 1)
    np.testing.assert_allclose(found, -log_probability.sum((1, 2)), rtol=1e-9)


def test_the_truth_is_the_minimum(library, rng):
    counts = rng.uniform(1, 9, (1, 4, 4))
    best = library.numpy(poisson_nll(*as_arrays(library, counts, counts)))[0]
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert library.numpy(poisson_nll(*as_arrays(library, factor * counts, counts)))[0] > best


def test_deviance_is_twice_the_likelihood_above_its_minimum(library, rng):
    rate, counts = rng.uniform(0.1, 9, (3, 4, 4)), rng.uniform(0.1, 9, (3, 4, 4))
    r, c = as_arrays(library, rate, counts)
    above = library.numpy(poisson_nll(r, c)) - library.numpy(poisson_nll(c, c))
    np.testing.assert_allclose(library.numpy(poisson_deviance(r, c)), 2 * above, rtol=1e-9)


def test_deviance_of_noise_is_about_one_per_pixel(library, rng):
    rate = np.full((50, 16, 16), 100.0)
    counts = rng.poisson(rate).astype(float)
    deviance = library.numpy(poisson_deviance(*as_arrays(library, rate, counts)))
    np.testing.assert_allclose(deviance.mean() / 256, 1, atol=0.05)


def test_zero_rate_and_zero_counts_are_finite(library):
    zero = np.zeros((1, 2, 2))
    for loss in (poisson_nll, poisson_deviance, amplitude_mae):
        assert np.isfinite(library.numpy(loss(*as_arrays(library, zero, zero)))).all()
        assert np.isfinite(library.numpy(loss(*as_arrays(library, zero, zero + 3)))).all()


def test_zero_counts_cost_their_rate(library):
    found = library.numpy(
        poisson_nll(*as_arrays(library, np.full((1, 3, 3), 2.0), np.zeros((1, 3, 3))))
    )
    np.testing.assert_allclose(found, 18.0, rtol=1e-12)


def test_amplitude_mae_is_the_written_out_sum(library, rng):
    rate, counts = rng.uniform(0.1, 9, (3, 4, 4)), rng.uniform(0.1, 9, (3, 4, 4))
    found = library.numpy(amplitude_mae(*as_arrays(library, rate, counts)))
    np.testing.assert_allclose(found, np.abs(np.sqrt(rate) - np.sqrt(counts)).sum((1, 2)))


@pytest.mark.parametrize("loss", [poisson_nll, poisson_deviance, amplitude_mae])
def test_bad_pixels_contribute_nothing(library, rng, loss):
    rate, counts = rng.uniform(0.1, 9, (2, 4, 4)), rng.uniform(0.1, 9, (2, 4, 4))
    bad = np.zeros((4, 4), dtype=bool)
    bad[1, 2] = bad[3, 0] = True
    spoiled = np.where(bad, 1e6, counts)
    r, c, s, m = as_arrays(library, rate, counts, spoiled, bad)
    np.testing.assert_allclose(
        library.numpy(loss(r, s, m)), library.numpy(loss(r, c, m)), rtol=1e-12
    )
    assert (library.numpy(loss(r, c, m)) != library.numpy(loss(r, c))).all()


def test_total_variation_counts_the_steps(library):
    patch = np.zeros((1, 4, 4), dtype=np.complex128)
    patch[0, :, 2:] = 3 - 2j  # one edge, four pixels long, of height 3 and 2
    np.testing.assert_allclose(library.numpy(total_variation(library.array(patch))), [20.0])


@pytest.mark.parametrize("loss", [poisson_nll, poisson_deviance, amplitude_mae])
def test_gradient_matches_finite_differences(rng, loss, torch):
    rate = torch.from_numpy(rng.uniform(1, 9, (2, 3, 3))).requires_grad_()
    counts = torch.from_numpy(rng.uniform(10, 19, (2, 3, 3)))
    assert torch.autograd.gradcheck(lambda r: loss(r, counts), (rate,))


def test_complex_mae_is_the_written_out_sum(library, complex_normal):
    a, b = complex_normal(3, 4, 4), complex_normal(3, 4, 4)
    found = library.numpy(complex_mae(*as_arrays(library, a, b)))
    np.testing.assert_allclose(found, np.abs(a - b).sum(axis=(1, 2)), rtol=1e-12)


def test_complex_mae_does_not_see_where_a_phase_wraps(library):
    a, b = (np.exp(1j * np.full((1, 2, 2), x)) for x in (np.pi - 1e-3, -np.pi + 1e-3))
    np.testing.assert_allclose(
        library.numpy(complex_mae(*as_arrays(library, a, b))), 4 * 2e-3, rtol=1e-5
    )


def test_gradient_of_complex_mae_is_finite_at_the_truth(torch):
    patch = torch.ones((2, 4, 4), dtype=torch.complex64, requires_grad=True)
    complex_mae(patch, torch.ones((2, 4, 4), dtype=torch.complex64)).sum().backward()
    assert torch.equal(patch.grad, torch.zeros_like(patch))


def test_the_likelihood_is_least_at_the_object_that_made_the_counts(complex_normal, torch):
    probe = torch.from_numpy(gaussian_probe(8, 4).astype(complex))
    truth = torch.from_numpy(1 + 0.2 * complex_normal(8, 8)).requires_grad_()
    counts = expected_counts(truth, probe, 1e4).detach()
    loss = poisson_nll(expected_counts(truth, probe, 1e4), counts)
    loss.backward()
    assert torch.linalg.norm(truth.grad) < 1e-8 * 1e4
    for seed in range(5):
        step = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 8, 8)))
        moved = truth.detach() + 1e-3 * torch.complex(*step)
        assert poisson_nll(expected_counts(moved, probe, 1e4), counts) > loss.detach()


def test_a_gentle_likelihood_falls_evenly_to_the_background_and_stays_there():
    first = GENTLE_START * 1e6 / 128**2
    assert likelihood_background(1e6, 128) == BACKGROUND
    assert likelihood_background(1e6, 128, 1.0) == pytest.approx(first + BACKGROUND)
    assert likelihood_background(1e6, 128, 0.5) == pytest.approx(first / 2 + BACKGROUND)
    parts = [gentleness(epoch, 20) for epoch in range(20)]
    np.testing.assert_allclose(parts[:5], [1, 3 / 4, 2 / 4, 1 / 4, 0], atol=1e-12)
    assert not any(parts[4:])
    assert gentleness(0, 1) == 1


def test_a_gentle_likelihood_asks_little_of_stray_photons():
    counts, rate = np.zeros((8, 8)), np.full((8, 8), 1e-6)
    counts[0, 0], counts[4, 4], rate[4, 4] = 2, 300, 270

    def share_of_stray_light(gentle):
        both = likelihood_background(counts.sum(), 8, gentle)
        alone = np.ones((8, 8), bool)
        alone[0, 0] = False
        stray = poisson_deviance(rate + both, counts + both, alone)
        return stray / poisson_deviance(rate + both, counts + both)

    assert share_of_stray_light(0.0) > 0.8
    assert share_of_stray_light(1.0) < 0.5
