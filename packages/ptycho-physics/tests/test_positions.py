"""What a stage does to positions: play, and slow drift."""

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import defocused_probe, random_cells, simulate_counts, snake_scan, solve
from ptycho_physics.solver._positions import directions, smooth_steps

N = 32
PLAY = 1.6


@pytest.fixture(scope="module")
def experiment():
    truth = random_cells((84, 92), radius=(4, 9), seed=3)
    positions = snake_scan((84, 88), N, step=5.0, jitter=0.3, seed=1)
    return truth, positions + np.array([2.0, 0.0]), defocused_probe(N)


def rms(error):
    return float(np.sqrt(np.mean((error - error.mean(axis=0)) ** 2)))


def test_each_axis_has_the_direction_of_its_last_move():
    x = [0.0, 2, 4, 3.5, 4.2, 2, 0, 0]  # 3.5 is too little to turn
    y = [5.0, 5, 5, 7, 7, 7, 7, 7]
    found = directions(np.stack([x, y], axis=1))
    np.testing.assert_array_equal(found[:, 0], [1, 1, 1, 1, 1, -1, -1, -1])
    np.testing.assert_array_equal(found[:, 1], 1)
    np.testing.assert_array_equal(directions(np.ones((3, 2))), 0)


def test_the_play_of_a_stage_is_found(library, experiment):
    truth, given, probe = experiment
    right = given.copy()
    right[:, 0] += PLAY / 2 * directions(given)[:, 0]
    counts = simulate_counts(truth, probe, right, 1e6, seed=5)
    arrays = library.array(counts), given, library.array(probe)
    refined = solve(*arrays, epochs=12, refine_backlash=True)
    np.testing.assert_allclose(refined.backlash, [PLAY, 0], atol=0.1)
    assert rms(refined.positions - right) < 0.1 * rms(given - right)


def test_positions_of_few_photons_are_smoothed_along_the_scan(experiment):
    truth, right, probe = experiment
    counts = simulate_counts(truth, probe, right, 1e3, seed=5)
    turn = np.linspace(0, 2 * np.pi, len(right))
    given = right + 1.5 * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    options = {"epochs": 12, "refine_positions": True, "position_start": 2}
    alone, smooth = (
        solve(counts, given, probe, position_smoothness=length, **options).positions
        for length in (0, 2)
    )
    assert not_linear(smooth - right, right) < 0.6 * not_linear(alone - right, right)


def not_linear(error, positions):
    """Rms without what a linear map of the positions explains, which the object can follow."""
    known = np.column_stack([np.ones(len(positions)), positions])
    return rms(error - known @ np.linalg.lstsq(known, error, rcond=None)[0])


def test_smooth_steps_are_those_of_least_squares():
    random = np.random.default_rng(0)
    n, length = 6, 1.7
    roots = random.normal(size=(n, 5, 2))
    gram, right = np.swapaxes(roots, 1, 2) @ roots, random.normal(size=(n, 2))
    deviation = random.normal(size=(n, 2))
    curvature = np.mean(np.trace(gram, axis1=1, axis2=2)) / 2
    whole = np.zeros((2 * n, 2 * n))
    for j in range(n):
        whole[2 * j : 2 * j + 2, 2 * j : 2 * j + 2] = gram[j]
    difference = np.kron(np.diff(np.eye(n), axis=0), np.eye(2))
    penalty = curvature * length**2 * difference.T @ difference
    expected = np.linalg.solve(whole + penalty, right.ravel() - penalty @ deviation.ravel())
    found = smooth_steps(gram, right, deviation, length)
    np.testing.assert_allclose(found.ravel(), expected, rtol=0, atol=2e-2 * np.abs(expected).max())


@pytest.mark.parametrize("value", [-1.0, float("nan"), 3.0])
def test_refuses_a_smoothness_of_nothing(experiment, value):
    _, positions, probe = experiment
    counts = np.ones((len(positions), N, N), np.float32)
    with pytest.raises(InvalidValueError) as caught:
        solve(counts, positions, probe, position_smoothness=value)
    assert caught.value.name == "position_smoothness"
