"""Positions that are wrong together: scales, rotation, shear."""

import numpy as np
import pytest
from ptycho_physics import defocused_probe, random_cells, simulate_counts, snake_scan, solve
from ptycho_physics.metrics import compare
from ptycho_physics.solver._positions import affinely_moved

N = 32
ANGLE = np.deg2rad(2.0)
WRONG = 1.02 * np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])


@pytest.fixture(scope="module")
def experiment():
    truth = random_cells((100, 104), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, N, step=5.0, jitter=0.5, seed=1)
    probe = defocused_probe(N)
    counts = simulate_counts(truth, probe, positions, 1e6, seed=5)
    return truth, positions, probe, counts


def score(library, solution, truth, positions):
    x0, y0 = solution.canvas.origin
    low, high = np.ceil(positions.min(0)).astype(int) + 4, positions.max(0).astype(int) - 4
    found = library.numpy(solution.object)
    here = found[low[1] - y0 : high[1] - y0, low[0] - x0 : high[0] - x0]
    return compare(here, truth[low[1] : high[1], low[0] : high[0]], remove_ramp=True).correlation


def test_scale_and_rotation_are_found(library, experiment):
    truth, positions, probe, counts = experiment
    wrong = affinely_moved(positions, WRONG)
    arrays = library.array(counts), wrong, library.array(probe)
    kept = solve(*arrays, epochs=20)
    refined = solve(*arrays, epochs=20, refine_affine=True)
    np.testing.assert_allclose(refined.affine @ WRONG, np.eye(2), atol=4e-3)
    left = refined.positions - positions
    assert np.std(left - left.mean(axis=0)) < 0.2
    errors = [1 - score(library, s, truth, positions) for s in (refined, kept)]
    assert errors[0] < 0.3 * errors[1]
    np.testing.assert_allclose(refined.positions, affinely_moved(wrong, refined.affine), atol=1e-9)


def test_single_positions_move_from_where_the_affine_correction_ended(experiment):
    _, positions, probe, counts = experiment
    wrong = affinely_moved(positions, WRONG)
    wrong = wrong + np.random.default_rng(0).normal(scale=0.5, size=wrong.shape)
    options = {"refine_affine": True, "refine_positions": True, "position_start": 10}
    refined = solve(counts, wrong, probe, epochs=20, **options)
    together = affinely_moved(wrong, refined.affine)
    assert np.abs(refined.positions - together).max() <= N / 8 + 1
    left = refined.positions - positions
    assert np.std(left - left.mean(axis=0)) < 0.25


def test_the_correction_is_bounded(experiment):
    _, positions, probe, counts = experiment
    middle = positions.mean(axis=0)
    shrunk = middle + 0.7 * (positions - middle)
    refined = solve(counts, shrunk, probe, epochs=6, refine_affine=True)
    extent = np.ptp(shrunk, axis=0).max() / 2
    assert np.abs(refined.positions - shrunk).max() <= np.ceil(0.1 * extent) + 1e-9
