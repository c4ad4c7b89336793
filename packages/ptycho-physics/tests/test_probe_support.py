"""A probe that is expected within a circle, where photons are few."""

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import compare, fermat_scan, random_cells, simulate_counts, solve
from ptycho_physics.solver._probe_support import OUTSIDE, ProbeSupport

N, RADIUS = 48, 18.0
SHAPE = (110, 114)


def lens(curvature):
    q = np.arange(N) - N // 2
    pupil = np.hypot(q, q[:, None]) < N / 4
    spectrum = pupil * np.exp(-1j * np.pi * curvature * (q**2 + q[:, None] ** 2) / N**2)
    wave = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum)))
    return (wave / np.linalg.norm(wave))[None].astype(np.complex64)


@pytest.fixture(scope="module")
def scene():
    truth, probe = random_cells(SHAPE, radius=(4, 10), seed=1), lens(40)
    return truth, probe, fermat_scan(SHAPE, N, number=100)


def outside(probe):
    distance = np.hypot(*(np.indices((N, N)) - N // 2))
    light = np.sum(np.abs(probe) ** 2, axis=0)
    return light[distance > RADIUS + 2].sum() / light.sum()


def score(object_, truth):
    inner = slice(N // 2, -N // 2)
    return compare(object_[inner, inner], truth[inner, inner], remove_ramp=True).correlation


def test_few_photons_leave_less_noise_in_probe_and_object(library, scene):
    truth, probe, positions = scene
    counts = simulate_counts(truth, probe, positions, 200, seed=0)
    put = library.array
    found = {}
    for radius in (None, RADIUS):
        settings = {"update_probe": True, "epochs": 25, "probe_support": radius}
        solution = solve(put(counts), positions, put(lens(45)), **settings)
        refined, object_ = library.numpy(solution.probe), library.numpy(solution.object)
        assert np.sum(np.abs(refined) ** 2) == pytest.approx(1, rel=1e-4)
        top, left = (-solution.canvas.origin[axis] for axis in (1, 0))
        part = np.ones(SHAPE, complex)
        height, width = solution.canvas.shape
        part[-top : -top + height, -left : -left + width] = object_
        found[radius] = score(part, truth), outside(refined)
    assert found[RADIUS][1] < 0.4 * found[None][1]
    assert found[RADIUS][0] > found[None][0] + 0.005


def test_many_photons_tell_what_is_outside(scene):
    truth, probe, positions = scene
    counts = simulate_counts(truth, probe, positions, 1e7, seed=0)
    settings = {"update_probe": True, "probe_start": 0, "epochs": 10}
    free = solve(counts, positions, probe, **settings)
    held = solve(counts, positions, probe, probe_support=RADIUS, **settings)
    assert outside(free.probe) > 0.01
    assert outside(held.probe) == pytest.approx(outside(free.probe), rel=0.02)


def test_the_penalty_is_that_of_the_expected_light(library):
    xp, probe = library.xp, library.array(lens(40))
    few, many = (ProbeSupport.of(RADIUS, probe, photons, xp) for photons in (1e3, 1e5))
    penalty = library.numpy(few.penalty)
    assert penalty[N // 2, N // 2] == 0
    np.testing.assert_allclose(penalty, 100 * library.numpy(many.penalty), rtol=1e-5)
    # a variance for each pixel beyond the edge, which adds up to the share of the power
    far = np.hypot(*(np.indices((N, N)) - N // 2)) > RADIUS + 5
    variance = 1 / (2 * 1e3 * penalty[far])
    assert np.ptp(variance) < 1e-5 * variance.mean()
    assert 0.6 * OUTSIDE < variance.sum() < OUTSIDE


def test_it_lies_around_the_centre_of_the_probe():
    probe = np.roll(lens(40), (5, -7), axis=(1, 2))
    penalty = ProbeSupport.of(8.0, probe, 1e3, np).penalty
    rows, columns = np.nonzero(penalty == 0)
    assert rows.mean() == pytest.approx(N // 2 + 5, abs=1)
    assert columns.mean() == pytest.approx(N // 2 - 7, abs=1)


def test_with_everything_else_a_run_goes_on_with_the_same_bits(scene):
    truth, probe, positions = scene
    counts = simulate_counts(truth, probe, positions, 1e3, seed=0)
    settings = {
        "update_probe": True,
        "probe_start": 1,
        "modes": 2,
        "probe_variation": 1,
        "variation_start": 1,
        "exposure_path": np.array([4.0, 0.0]),
        "refine_light": True,
        "momentum": 0.5,
        "probe_support": RADIUS,
        "epochs": 3,
    }
    states = []

    def note(state):
        states.append(state())
        return False

    whole = solve(counts, positions, probe, between=note, **settings)
    resumed = solve(counts, positions, probe, state=states[len(states) // 2], **settings)
    np.testing.assert_array_equal(resumed.object, whole.object)
    np.testing.assert_array_equal(resumed.probe, whole.probe)
    free = solve(counts, positions, probe, **{**settings, "probe_support": None})
    assert outside(whole.probe) < 0.7 * outside(free.probe)
    assert outside(whole.probe_variation) < 0.7 * outside(free.probe_variation)


def test_on_a_coarse_detector(scene):
    truth, probe, positions = scene
    counts = simulate_counts(truth, probe, positions, 500, seed=0, detector_sampling=2)
    settings = {"update_probe": True, "epochs": 6, "detector_sampling": 2}
    free = solve(counts, positions, probe, **settings)
    held = solve(counts, positions, probe, probe_support=RADIUS, **settings)
    assert outside(held.probe) < 0.5 * outside(free.probe)


@pytest.mark.parametrize("radius", [0, -3.0, 40, np.inf, "5"])
def test_a_radius_lies_within_the_patches(scene, radius):
    _, probe, positions = scene
    counts = np.ones((len(positions), N, N), np.float32)
    with pytest.raises(InvalidValueError, match="probe_support must be"):
        solve(counts, positions, probe, update_probe=True, probe_support=radius)


def test_a_probe_that_stays_has_no_support(scene):
    _, probe, positions = scene
    counts = np.ones((len(positions), N, N), np.float32)
    with pytest.raises(InvalidValueError, match="unless the probe is refined"):
        solve(counts, positions, probe, probe_support=RADIUS)
