"""Patterns that are never used: the prediction of them, and the end of a run by it."""

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    Canvas,
    defocused_probe,
    random_cells,
    simulate_counts,
    snake_scan,
    solve,
)
from ptycho_physics.metrics import complex_correlation

N = 32


def scan_of(photons):
    truth = random_cells((72, 76), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, N, step=4.0, jitter=0.4, seed=1)
    probe = defocused_probe(N)
    return truth, positions, probe, simulate_counts(truth, probe, positions, photons, seed=5)


@pytest.fixture(scope="module")
def bright():
    return scan_of(1e6)


def score(solution, truth, positions):
    x0, y0 = solution.canvas.origin
    low, high = np.ceil(positions.min(0)).astype(int), positions.max(0).astype(int)
    found = solution.object[low[1] - y0 : high[1] - y0, low[0] - x0 : high[0] - x0]
    return complex_correlation(found, truth[low[1] : high[1], low[0] : high[0]])


def test_held_out_patterns_are_predicted_up_to_their_noise(bright):
    _, positions, probe, counts = bright
    found = solve(counts, positions, probe, epochs=12, held_out=0.1).held_out
    assert len(found.indices) == len(found.deviance) == round(0.1 * len(counts))
    assert len(np.unique(found.indices)) == len(found.indices)
    assert found.deviances[0] > 2 * found.deviances[found.best - 1]
    assert 0.7 < found.deviances[found.best - 1] < 1.3
    assert found.deviances[found.best - 1] == min(found.deviances)
    assert found.r_factor == found.r_factors[found.best - 1] < 0.1


def test_what_held_out_patterns_hold_does_not_reach_object_and_probe(bright, library):
    _, positions, probe, counts = bright
    options = {"epochs": 3, "held_out": 0.1, "update_probe": True, "probe_start": 0}
    options |= {"refine_positions": True, "position_start": 1}
    arrays = library.array(counts), positions, library.array(probe)
    first = solve(*arrays, **options)
    changed = spoiled(counts, first.held_out.indices)
    again = solve(library.array(changed), *arrays[1:], **options)
    np.testing.assert_array_equal(again.held_out.indices, first.held_out.indices)
    np.testing.assert_array_equal(library.numpy(again.object), library.numpy(first.object))
    np.testing.assert_array_equal(library.numpy(again.probe), library.numpy(first.probe))
    assert again.held_out.deviances[0] > 2 * first.held_out.deviances[0]


def spoiled(counts, rows):
    counts = counts.copy()
    counts[rows] = counts[rows, ::-1]
    return counts


def test_held_out_patterns_do_not_move_the_others(bright):
    _, positions, probe, counts = bright
    options = {"epochs": 3, "held_out": 0.1, "refine_positions": True, "position_start": 1}
    first = solve(counts, positions, probe, **options)
    held_out = first.held_out.indices
    again = solve(spoiled(counts, held_out), positions, probe, **options)
    used = np.setdiff1d(np.arange(len(positions)), held_out)
    np.testing.assert_array_equal(again.positions[used], first.positions[used])
    assert np.abs(first.positions - positions)[used].max() > 0.01
    assert np.abs(again.positions - first.positions)[held_out].max() > 0.01


def test_held_out_patterns_do_not_align_an_object_given_at_the_start(bright):
    _, positions, probe, counts = bright
    shape = Canvas.covering(positions, N).shape
    ramp = np.exp(1j * np.linspace(0, 1, shape[1])) * np.ones(shape)
    options = {"epochs": 1, "held_out": 0.1, "initial": ramp.astype(np.complex64)}
    first = solve(counts, positions, probe, **options)
    again = solve(spoiled(counts, first.held_out.indices), positions, probe, **options)
    np.testing.assert_array_equal(again.object, first.object)


def test_compared_pixels_of_held_out_patterns_are_not_fitted(bright):
    """The light of a held-out pattern does not depend on the pixels it is judged by."""
    _, positions, probe, counts = bright
    options = {"epochs": 1, "held_out": 0.1, "refine_light": True, "background": "scaled"}
    options |= {"light_start": 0, "background_start": 0}
    first = solve(counts, positions, probe, **options)
    # the choice of pixels is the documented one: half of them, by the seed of the run
    random = np.random.default_rng((0, 1))
    random.choice(np.arange(round(0.6 * len(counts))), len(first.held_out.indices), replace=False)
    compared = random.random((N, N)) < 0.5
    changed = counts.copy()
    for index in first.held_out.indices:
        changed[index, compared] = changed[index, compared][::-1]
    again = solve(changed, positions, probe, **options)
    np.testing.assert_allclose(again.light, first.light, rtol=1e-5)
    np.testing.assert_allclose(again.background_share, first.background_share, rtol=1e-5)
    assert again.held_out.deviances[0] > 2 * first.held_out.deviances[0]


def test_a_run_at_low_dose_ends_before_it_fits_the_noise():
    truth, positions, probe, counts = scan_of(30)
    options = {"epochs": 60, "relaxation": 0.1, "average": False}
    ended = solve(counts, positions, probe, **options, held_out=0.1)
    whole = solve(counts, positions, probe, **options)
    assert ended.stopped == "held-out"
    assert ended.held_out.best + 3 <= len(ended.r_factors) < 30
    assert score(ended, truth, positions) > score(whole, truth, positions)
    # the mean over epochs, and smaller steps, need no such end
    mean = solve(counts, positions, probe, epochs=60)
    assert score(mean, truth, positions) > score(ended, truth, positions) + 0.05


@pytest.mark.parametrize("value", [-0.1, 0.6, float("nan"), 1e-6])
def test_the_share_has_a_range(bright, value):
    _, positions, probe, counts = bright
    with pytest.raises(InvalidValueError, match="held_out must be a share"):
        solve(counts, positions, probe, held_out=value)
