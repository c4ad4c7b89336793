"""Light of each pattern, background and saturation: each fault with and without its switch."""

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    defocused_probe,
    expected_counts,
    extract_patches,
    normalise_probe,
    photons_per_pattern,
    random_cells,
    snake_scan,
    solve,
)
from ptycho_physics.metrics import complex_correlation, r_factor
from ptycho_physics.solver._detector import Background
from ptycho_physics.solver._measurement import Measurement

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


def score(found, solution, truth, positions):
    """Correlation of the object ``found``, a NumPy array, with the truth over the scan."""
    x0, y0 = solution.canvas.origin
    low, high = np.ceil(positions.min(0)).astype(int), positions.max(0).astype(int)
    here = found[low[1] - y0 : high[1] - y0, low[0] - x0 : high[0] - x0]
    return complex_correlation(here, truth[low[1] : high[1], low[0] : high[0]])


def solved(library, experiment, counts, **options):
    truth, positions, probe, _ = experiment
    arrays = library.array(counts), positions, library.array(probe)
    solution = solve(*arrays, epochs=15, **options)
    return solution, score(library.numpy(solution.object), solution, truth, positions)


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


@pytest.mark.parametrize("photons", [300, 3e4])
def test_a_background_of_nothing_does_little_harm(experiment, photons):
    truth, positions, probe, rates = experiment
    counts = drawn(rates * (photons / PHOTONS))

    def r_factor_of(solution):
        patches = extract_patches(solution.object, solution.canvas.local(positions), N)
        light = expected_counts(patches, solution.probe, photons_per_pattern(counts, probe))
        return r_factor(light + (0 if solution.background is None else solution.background), counts)

    plain, fitted = (
        solve(counts, positions, probe, epochs=6, background=background)
        for background in (None, "constant")
    )
    # the reported one is that before the updates of the last epoch
    assert fitted.r_factors[-1] == pytest.approx(r_factor_of(fitted), rel=0.1)
    # without a background the dim pixels are pulled below the truth, which lowers the R-factor
    of_truth = r_factor(rates * (photons / PHOTONS), counts)
    assert r_factor_of(fitted) < 1.1 * max(r_factor_of(plain), of_truth)
    lost = [1 - score(found.object, found, truth, positions) for found in (fitted, plain)]
    assert lost[0] < 1.2 * lost[1]


@pytest.mark.parametrize("share", [[1.0, 1.0], [0.2, 1.8]])
def test_the_step_of_a_background_is_that_of_the_poisson_likelihood(share):
    """It never lowers the likelihood, and stays at expected counts."""
    random, both = np.random.default_rng(0), np.arange(2)
    share = np.array(share)
    light, truth = random.uniform(0, 3, (2, 4, 4)), random.uniform(1, 9, (4, 4))
    counts = random.poisson(light + share[:, None, None] * truth).astype(float)
    background = Background(values=np.full((4, 4), 2.0), share=np.ones(2))

    def rate():
        return light + background.of(both, np)

    def step(counts):
        wanted = background.learn_share(counts / rate(), both, np)
        background.learn(*background.sums(wanted, both, np), patterns=2)

    likelihoods = []
    for _ in range(200):
        likelihoods.append(np.sum(counts * np.log(rate()) - rate()))
        step(counts)
    assert np.all(np.diff(likelihoods) > -1e-9)
    gradient = np.sum(background.share[:, None, None] * (counts / rate() - 1), axis=0)
    assert np.all(np.abs(gradient[background.values > 0.1]) < 1e-3)
    before = background.of(both, np)
    step(rate())
    np.testing.assert_allclose(background.of(both, np), before, rtol=1e-5)


def test_saturated_pixels_are_censored(library, experiment):
    *_, rates = experiment
    level = float(np.quantile(rates, 0.9))
    counts = np.minimum(drawn(rates), np.float32(level))
    _, without = solved(library, experiment, counts)
    _, censored = solved(library, experiment, counts, saturation=level)
    assert 1 - censored < 0.1 * (1 - without)


def test_a_saturated_pixel_is_recognised_at_any_scale(library):
    random = np.random.default_rng(0)
    for level in random.integers(50, 65535, 200):
        counts = library.array(np.array([[[level - 1, level]]], np.float32))
        photons = float(random.uniform(1e3, 1e7))
        measured = Measurement(counts=counts, photons=photons, bad=None, xp=library.xp)
        full = library.numpy(measured.saturated(np.arange(1), float(level)))
        np.testing.assert_array_equal(full, [[[False, True]]])


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
