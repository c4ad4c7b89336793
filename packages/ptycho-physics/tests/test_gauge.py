"""Factors that the patterns do not tell apart: how the solver shares them out."""

import array_api_compat.numpy as xp
import numpy as np
import pytest
from ptycho_physics import (
    Canvas,
    Slices,
    defocused_probe,
    expected_counts,
    extract_patches,
    normalise_probe,
    orthogonal_modes,
    random_cells,
    snake_scan,
    solve,
)
from ptycho_physics._forward import centring
from ptycho_physics._namespace import abs2
from ptycho_physics.solver._measurement import Measurement
from ptycho_physics.solver._optics import Optics
from ptycho_physics.solver._variation import Variation

N = 32
SLICES = Slices(number=2, thickness=40.0, wavelength=0.01, pixel_size=1.0)


@pytest.fixture(scope="module")
def experiment():
    truth = random_cells((72, 76), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, N, step=4.0, jitter=0.4, seed=1)
    return truth, positions, normalise_probe(defocused_probe(N)).astype(np.complex64)


def estimate(experiment, *, modes=1, variation=0, slices=None):
    """An estimate with a light that rises over the scan, and a probe of any power."""
    truth, positions, probe = experiment
    random, canvas = np.random.default_rng(0), Canvas.covering(positions, N)
    optics = Optics.of(N, None, slices, 0.0)
    (x0, y0), (height, width) = canvas.origin, canvas.shape
    found = truth[y0 : y0 + height, x0 : x0 + width]
    probe = orthogonal_modes(probe, modes, decay=0.3).astype(np.complex64)
    counts = np.ones((len(positions), N, N), np.float32)
    made = optics.estimate(
        measured=Measurement(counts=counts, photons=1e5, bad=None, xp=xp),
        positions=canvas.local(positions),
        canvas=np.array(np.broadcast_to(found, (*optics.levels, height, width))),
        probe=2 * probe * centring(probe, xp),
        relaxation=0.1,
        xp=xp,
    )
    rise = np.exp(positions @ [0.01, -0.02])
    made.light = (rise * random.uniform(0.8, 1.2, len(positions))).astype(np.float32)
    if variation:
        waves = random.normal(size=(2, variation, N, N)) * np.abs(made.probe[0])
        parts = 0.1 * random.normal(size=(2, len(positions), variation))
        made.variation = Variation(
            modes=(waves[0] + 1j * waves[1] + made.probe[0]).astype(np.complex64),
            coefficients=(parts[0] + 1j * parts[1]).astype(np.complex64),
        )
    return made


def light_on_the_detector(made):
    batch = np.arange(len(made.positions))
    fields, _ = made.propagator.forward(made.patches(batch), made.probe_of(batch), xp)
    return np.sum(abs2(fields, xp), axis=1)


@pytest.mark.parametrize(
    "kind",
    [{}, {"modes": 3}, {"variation": 2}, {"modes": 2, "variation": 2}, {"slices": SLICES}],
    ids=str,
)
def test_the_patterns_stay_and_light_and_probe_follow_the_rules(experiment, kind):
    made = estimate(experiment, **kind)
    before = light_on_the_detector(made)
    made.fix_gauge(probe_refined=True)
    made.fix_gauge(probe_refined=True)  # the first leaves second-order terms
    # between whole pixels the object is interpolated, which a ramp changes a little
    error = np.abs(light_on_the_detector(made) - before).sum() / before.sum()
    assert error < 2e-3
    known = np.column_stack([np.ones(len(made.positions)), made.positions])
    slope = np.linalg.lstsq(known, np.log(made.light), rcond=None)[0][1:]
    np.testing.assert_allclose(slope, 0, atol=1e-3)
    np.testing.assert_allclose(made.light.mean(), 1, rtol=1e-5)
    np.testing.assert_allclose(np.sum(abs2(made.probe, xp)), 1, rtol=1e-5)
    if made.variation is not None and "modes" not in kind:
        overlap = np.sum(made.probe[0].conj() * made.variation.modes, axis=(1, 2))
        np.testing.assert_allclose(np.abs(overlap), 0, atol=0.05)


def test_a_probe_that_stays_keeps_its_amplitude(experiment):
    made = estimate(experiment)
    before, light = made.probe.copy(), made.light.copy()
    made.fix_gauge(probe_refined=False)
    np.testing.assert_allclose(
        made.probe / made.probe[0, 9, 9], before / before[0, 9, 9], rtol=1e-4
    )
    np.testing.assert_allclose(made.light / made.light[0], light / light[0], rtol=1e-5)


def test_the_object_has_no_ramp_where_light_and_probe_are_refined(experiment):
    truth, positions, probe = experiment
    light = np.random.default_rng(1).uniform(0.6, 1.4, len(positions))
    known = np.column_stack([np.ones(len(positions)), positions])
    logs = np.log(light)
    light = np.exp(logs - known @ np.linalg.lstsq(known, logs, rcond=None)[0])
    rates = expected_counts(extract_patches(truth, positions, N), probe, 3e5)
    counts = np.random.default_rng(5).poisson(rates * light[:, None, None]).astype(np.float32)
    start = probe * np.exp(np.arange(N) * 0.02).astype(np.float32)  # brighter at one side
    solution = solve(counts, positions, start, epochs=15, update_probe=True, refine_light=True)
    np.testing.assert_allclose(
        solution.light / solution.light.mean(), light / light.mean(), rtol=0.1
    )
    x0, y0 = solution.canvas.origin
    low, high = np.ceil(positions.min(0)).astype(int), positions.max(0).astype(int)
    found = solution.object[low[1] - y0 : high[1] - y0, low[0] - x0 : high[0] - x0]
    ratio = np.log(np.abs(found) / np.abs(truth[low[1] : high[1], low[0] : high[0]]))
    across = ratio.mean(axis=0)
    assert abs(np.polyfit(np.arange(len(across)), across, 1)[0]) < 5e-4
