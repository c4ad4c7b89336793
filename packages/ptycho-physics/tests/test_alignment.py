import array_api_compat.numpy as xp
import numpy as np
import pytest
from ptycho_physics import (
    Canvas,
    defocused_probe,
    expected_counts,
    extract_patches,
    normalise_probe,
    random_cells,
    snake_scan,
)
from ptycho_physics._forward import centring
from ptycho_physics.solver._alignment import (
    align_phase,
    fit_patterns,
    phase_slopes,
    smooth_phase,
)
from ptycho_physics.solver._estimate import Estimate
from ptycho_physics.solver._measurement import Measurement
from ptycho_physics.solver._positions import move_positions, object_slopes

N = 32


@pytest.fixture
def estimate():
    """The truth behind noiseless counts: what is changed in it afterwards is what is missing."""
    truth = random_cells((80, 84), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, N, step=6.0, jitter=0.4, seed=1)
    canvas = Canvas.covering(positions, N)
    (x0, y0), (height, width) = canvas.origin, canvas.shape
    probe = normalise_probe(defocused_probe(N)).astype(np.complex64)
    patches = extract_patches(truth, positions, N)
    counts = expected_counts(patches, probe, 1e6).astype(np.float32)
    return Estimate(
        measured=Measurement(counts=counts, photons=1e6, bad=None, xp=xp),
        positions=canvas.local(positions),
        canvas=truth[y0 : y0 + height, x0 : x0 + width].copy(),
        probe=probe * centring(probe, xp),
        relaxation=0.1,
        xp=xp,
    )


@pytest.mark.parametrize("slopes", [object_slopes, phase_slopes])
def test_the_truth_asks_for_nothing(estimate, slopes):
    np.testing.assert_allclose(fit_patterns(estimate, slopes), 0, atol=1e-4)


def test_a_phase_ramp_is_found_and_removed(estimate):
    truth = estimate.canvas.copy()
    rows, columns = np.indices(truth.shape)
    estimate.canvas = (truth * np.exp(1j * (0.01 * columns - 0.006 * rows))).astype(np.complex64)
    gradients = fit_patterns(estimate, phase_slopes)
    np.testing.assert_allclose(np.median(gradients, axis=0), [-0.01, 0.006], atol=2e-3)
    for _ in range(3):
        align_phase(estimate)
    ratio = estimate.canvas * truth.conj()
    inside = ratio[N // 2 : -N // 2, N // 2 : -N // 2]
    assert np.std(np.angle(inside * np.exp(-1j * np.angle(inside.sum())))) < 0.01


def test_a_shifted_pattern_finds_its_place(estimate):
    right = estimate.positions.copy()
    wrong = np.random.default_rng(0).normal(scale=0.3, size=right.shape)
    wrong -= wrong.mean(axis=0)
    start = np.clip(right + wrong, right.min(axis=0), right.max(axis=0))
    estimate.positions = start
    error = start - right
    error = np.sqrt(np.mean((error - error.mean(axis=0)) ** 2))
    for _ in range(4):
        moved = estimate.positions - right
        if np.abs(moved).max() < 1e-3:
            break
        step = np.clip(fit_patterns(estimate, object_slopes), -0.5, 0.5)
        low, high = right.min(axis=0), right.max(axis=0)
        estimate.positions = np.clip(estimate.positions + step, low, high)
    left = estimate.positions - right
    assert np.sqrt(np.mean((left - left.mean(axis=0)) ** 2)) < 0.25 * error


def test_positions_keep_their_mean_and_their_bounds(estimate):
    inner = estimate.positions.mean(axis=0) + 0.5 * (
        estimate.positions - estimate.positions.mean(axis=0)
    )
    estimate.positions = inner.copy()  # far from the truth: every pattern wants to move
    for _ in range(3):
        move_positions(estimate, inner, 0.7)
    assert np.abs(estimate.positions - inner).max() <= 0.7 + 1e-12
    assert np.abs(estimate.positions - inner).max() > 0.1


def test_smooth_phase_has_the_gradients_asked_for():
    rng = np.random.default_rng(2)
    positions = rng.uniform(20, [100, 80], size=(200, 2))
    u = (positions - positions.min(axis=0)) / np.ptp(positions, axis=0)
    scale = np.pi / np.ptp(positions, axis=0)
    gradients = np.stack(
        [
            0.02 - scale[0] * np.sin(np.pi * u[:, 0]) * np.cos(2 * np.pi * u[:, 1]),
            -2 * scale[1] * np.cos(np.pi * u[:, 0]) * np.sin(2 * np.pi * u[:, 1]),
        ],
        axis=1,
    )
    phase = smooth_phase(positions, gradients, (100, 120))
    x, y = np.meshgrid(np.arange(21, 99), np.arange(21, 79))
    across = (np.arange(120) - positions[:, 0].min()) / np.ptp(positions[:, 0])
    down = (np.arange(100) - positions[:, 1].min()) / np.ptp(positions[:, 1])
    expected = 0.02 * np.arange(120) + np.cos(np.pi * across) * np.cos(2 * np.pi * down[:, None])
    difference = (phase - expected)[y, x]
    assert np.ptp(difference) < 0.02


def test_one_pattern_gives_a_ramp_only():
    phase = smooth_phase(np.array([[20.0, 20.0]]), np.array([[0.1, 0.2]]), (40, 40))
    np.testing.assert_allclose(phase[1:, :] - phase[:-1, :], 0.2, rtol=1e-9)
    np.testing.assert_allclose(phase[:, 1:] - phase[:, :-1], 0.1, rtol=1e-9)
