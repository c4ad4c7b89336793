"""A probe that varies over the scan."""

import array_api_compat.numpy as xp
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    defocused_probe,
    extract_patches,
    intensity,
    normalise_probe,
    random_cells,
    snake_scan,
    solve,
)
from ptycho_physics.metrics import compare
from ptycho_physics.solver._variation import Variation

N, PHOTONS = 32, 1e6


@pytest.fixture(scope="module")
def drifting():
    """Counts behind a probe whose defocus changes in the course of the scan, by 20 % each way."""
    truth = random_cells((72, 76), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, N, step=4.0, jitter=0.4, seed=1)
    probe = normalise_probe(defocused_probe(N)).astype(np.complex64)
    q = np.fft.fftfreq(N)
    kernel = np.exp(-8j * (q**2 + q[:, None] ** 2))
    change = np.fft.ifft2(np.fft.fft2(probe) * kernel) - probe
    change -= probe * np.vdot(probe, change)
    change *= 0.2 / np.linalg.norm(change)
    course = np.linspace(-1, 1, len(positions))
    probes = probe + course[:, None, None, None] * change
    rates = intensity(extract_patches(truth, positions, N), probes)
    counts = np.random.default_rng(5).poisson(rates * PHOTONS / rates.sum((1, 2)).mean())
    return truth, positions, probe, counts.astype(np.float32), change[0], course


def score(library, solution, truth, positions):
    x0, y0 = solution.canvas.origin
    low, high = np.ceil(positions.min(0)).astype(int), positions.max(0).astype(int)
    found = library.numpy(solution.object)
    here = found[low[1] - y0 : high[1] - y0, low[0] - x0 : high[0] - x0]
    return compare(here, truth[low[1] : high[1], low[0] : high[0]], remove_ramp=True).correlation


def test_the_drift_of_a_probe_is_found(library, drifting):
    truth, positions, probe, counts, change, course = drifting
    arrays = library.array(counts), positions, library.array(probe)
    fixed = solve(*arrays, epochs=20, update_probe=True)
    varied = solve(*arrays, epochs=20, update_probe=True, probe_variation=1)
    assert varied.r_factors[-1] < 0.8 * fixed.r_factors[-1]
    errors = [1 - score(library, s, truth, positions) for s in (varied, fixed)]
    assert errors[0] < 0.5 * errors[1]
    coefficients = varied.variation_coefficients[:, 0]
    assert abs(np.corrcoef(coefficients, course)[0, 1]) > 0.9
    found = varied.probe_variation[0]
    assert abs(np.vdot(found, change)) > 0.8 * np.linalg.norm(change)


def test_the_gauge_of_modes_and_coefficients(library, drifting):
    _, positions, probe, counts, _, _ = drifting
    options = {"epochs": 6, "update_probe": True, "probe_variation": 3}
    solution = solve(library.array(counts), positions, library.array(probe), **options)
    modes = solution.probe_variation.reshape(3, -1)
    np.testing.assert_allclose(modes @ modes.conj().T, np.eye(3), atol=1e-4)
    strengths = np.linalg.norm(solution.variation_coefficients, axis=0)
    assert (np.diff(strengths) <= 1e-6).all()
    np.testing.assert_allclose(solution.variation_coefficients.mean(axis=0), 0, atol=1e-5)


def test_the_gauge_does_not_change_the_probe_of_any_pattern():
    rng = np.random.default_rng(0)
    modes = rng.normal(size=(2, 8, 8)) + 1j * rng.normal(size=(2, 8, 8))
    coefficients = rng.normal(size=(9, 2)) + 1j * rng.normal(size=(9, 2))
    variation = Variation(
        modes=modes.astype(np.complex64), coefficients=coefficients.astype(np.complex64)
    )
    everywhere = np.arange(9)
    before = variation.of(everywhere, xp)
    mean = variation.fix_gauge(everywhere[:7], xp)
    np.testing.assert_allclose(variation.of(everywhere, xp) + mean, before, atol=1e-5)
    np.testing.assert_allclose(variation.coefficients[:7].mean(axis=0), 0, atol=1e-6)


def test_variation_with_incoherent_modes_and_uneven_light(drifting):
    _, positions, probe, counts, _, _ = drifting
    options = {"epochs": 6, "update_probe": True, "probe_variation": 1, "held_out": 0.1}
    solution = solve(counts, positions, probe, modes=2, refine_light=True, **options)
    assert solution.probe.shape == (2, N, N)
    assert np.isfinite(solution.object).all()
    assert solution.held_out.deviances[-1] < solution.held_out.deviances[0]


def test_it_needs_a_probe_that_is_refined(drifting):
    _, positions, probe, counts, _, _ = drifting
    with pytest.raises(InvalidValueError) as caught:
        solve(counts, positions, probe, probe_variation=1)
    assert caught.value.name == "probe_variation"
    assert caught.value.advice == "set update_probe as well"
