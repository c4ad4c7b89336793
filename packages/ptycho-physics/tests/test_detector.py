"""Light of each pattern, background and saturation: each fault with and without its switch."""

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    defocused_probe,
    expected_counts,
    extract_patches,
    normalise_probe,
    random_cells,
    snake_scan,
    solve,
)
from ptycho_physics.metrics import complex_correlation

N, PHOTONS = 32, 3e5


@pytest.fixture(scope="module")
def experiment():
    truth = random_cells((72, 76), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, N, step=4.0, jitter=0.4, seed=1)
    probe = normalise_probe(defocused_probe(N))
    rates = expected_counts(extract_patches(truth, positions, N), probe, PHOTONS)
    return truth, positions, probe, rates.astype(np.float64)


def drawn(rates):
    return np.random.default_rng(5).poisson(rates).astype(np.float32)


def score(library, solution, truth, positions):
    x0, y0 = solution.canvas.origin
    low, high = np.ceil(positions.min(0)).astype(int), positions.max(0).astype(int)
    found = library.numpy(solution.object)
    here = found[low[1] - y0 : high[1] - y0, low[0] - x0 : high[0] - x0]
    return complex_correlation(here, truth[low[1] : high[1], low[0] : high[0]])


def solved(library, experiment, counts, **options):
    truth, positions, probe, _ = experiment
    arrays = library.array(counts), positions, library.array(probe)
    solution = solve(*arrays, epochs=15, **options)
    return solution, score(library, solution, truth, positions)


def test_the_light_of_each_pattern_is_found(library, experiment):
    *_, rates = experiment
    light = np.random.default_rng(1).uniform(0.6, 1.4, len(rates))
    light /= light.mean()
    counts = drawn(rates * light[:, None, None])
    _, without = solved(library, experiment, counts)
    solution, with_light = solved(library, experiment, counts, refine_light=True)
    _, clean = solved(library, experiment, drawn(rates))
    assert 1 - with_light < 1.2 * (1 - clean) < 0.3 * (1 - without)
    np.testing.assert_allclose(solution.light, light, rtol=0.06)
    np.testing.assert_allclose(solution.light.mean(), 1, rtol=1e-4)


@pytest.mark.parametrize("kind", ["constant", "scaled"])
def test_the_background_is_found(library, experiment, kind):
    *_, rates = experiment
    rows = np.linspace(0, 20, N)
    expected = 15 + rows[:, None] + np.zeros(N)
    share = np.ones(len(rates))
    if kind == "scaled":
        share = np.random.default_rng(2).uniform(0.2, 1.8, len(rates))
        share /= share.mean()
    counts = drawn(rates + share[:, None, None] * expected)
    _, without = solved(library, experiment, counts)
    solution, with_background = solved(library, experiment, counts, background=kind)
    _, clean = solved(library, experiment, drawn(rates))
    assert 1 - with_background < 0.4 * (1 - without)
    assert with_background > 0.995 * clean
    dim = rates.mean(axis=0) < 100  # elsewhere little is known of it
    np.testing.assert_allclose(solution.background[dim], expected[dim], rtol=0.35)
    assert solution.background.min() > 0
    if kind == "scaled":
        assert np.corrcoef(solution.background_share, share)[0, 1] > 0.95
    else:
        assert solution.background_share is None


def test_saturated_pixels_are_censored(library, experiment):
    *_, rates = experiment
    level = float(np.quantile(rates, 0.9))
    counts = np.minimum(drawn(rates), np.float32(level))
    _, without = solved(library, experiment, counts)
    _, censored = solved(library, experiment, counts, saturation=level)
    assert 1 - censored < 0.1 * (1 - without)


def test_switches_that_are_off_change_nothing(experiment):
    _, positions, probe, rates = experiment
    solution = solve(drawn(rates), positions, probe, epochs=1)
    assert solution.light is None
    assert solution.background is None
    assert solution.held_out is None


def test_numpy_and_torch_agree_with_every_switch(experiment, torch):
    _, positions, probe, rates = experiment
    counts = drawn(rates + 5)
    options = {"epochs": 1, "batch_size": len(counts), "held_out": 0.1}
    options |= {"refine_light": True, "light_start": 0, "saturation": 500.0}
    options |= {"background": "scaled", "background_start": 0}
    first = solve(counts, positions, probe, **options)
    second = solve(torch.from_numpy(counts), positions, torch.from_numpy(probe), **options)
    np.testing.assert_allclose(first.object, second.object.numpy(), atol=2e-3)
    np.testing.assert_allclose(first.light, second.light, rtol=1e-4)
    np.testing.assert_allclose(first.background, second.background, rtol=1e-4)
    np.testing.assert_allclose(first.background_share, second.background_share, rtol=1e-4)
    np.testing.assert_allclose(first.held_out.deviance, second.held_out.deviance, rtol=1e-3)


@pytest.mark.parametrize(("name", "value"), [("background", "flat"), ("saturation", 0.0)])
def test_options_have_a_range(experiment, name, value):
    _, positions, probe, rates = experiment
    with pytest.raises(InvalidValueError, match=f"{name} must be"):
        solve(drawn(rates), positions, probe, **{name: value})
