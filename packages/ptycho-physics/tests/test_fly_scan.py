"""Fly scans: the probe smeared along the path of each exposure."""

import array_api_compat.numpy as xp
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    defocused_probe,
    exposure_path,
    extract_patches,
    intensity,
    normalise_probe,
    path_points,
    random_cells,
    raster_scan,
    smeared_probe,
    snake_scan,
    solve,
    spiral_scan,
)
from ptycho_physics._exposure import Exposure
from ptycho_physics.metrics import compare
from scipy.ndimage import gaussian_filter

N, PHOTONS = 40, 1e6
ALONG = np.array([7.0, 1.0])


def flown(truth, positions, probe, path):
    """Rates of the mean over many points of each path."""
    moments = (np.arange(48) + 0.5) / 48 - 0.5
    return np.mean(
        [
            intensity(
                extract_patches(truth, positions + t * path, N, interpolation="fourier"), probe
            )
            for t in moments
        ],
        axis=0,
    )


@pytest.fixture(scope="module")
def scene():
    # smooth, so that a shift of the object and one of the probe are the same
    truth = gaussian_filter(random_cells((88, 92), radius=(4, 9), seed=3), 1.0)
    positions = np.rint(snake_scan((80, 84), N, step=4.0, jitter=0.8, seed=1) + 4)
    # dark at the rim, from which a shift moves it out of the patch
    probe = np.pad(defocused_probe(28), ((0, 0), (6, 6), (6, 6)))
    return truth, positions, normalise_probe(probe).astype(np.complex64)


@pytest.fixture(scope="module")
def fly(scene):
    truth, positions, probe = scene
    rates = flown(truth, positions, probe, ALONG)
    counts = np.random.default_rng(5).poisson(rates * PHOTONS / rates.sum((1, 2)).mean())
    return counts.astype(np.float32)


def test_modes_at_few_points_are_the_whole_way(library, scene):
    truth, positions, probe = scene
    positions, path = positions[:9], np.random.default_rng(0).uniform(-6, 6, (9, 2))
    probes = smeared_probe(library.array(probe), path)
    assert probes.shape == (9, path_points(path), N, N)
    patches = extract_patches(truth, positions, N).astype(np.complex64)
    found = library.numpy(intensity(library.array(patches), probes))
    expected = flown(truth, positions, probe, path)
    still = np.abs(intensity(patches, probe) - expected).sum()
    assert np.abs(found - expected).sum() < 0.05 * still
    np.testing.assert_allclose((np.abs(library.numpy(probes)) ** 2).sum((1, 2, 3)), 1, rtol=1e-4)


def test_there_and_back_are_equal(scene):
    probe = scene[2]
    there, back = smeared_probe(probe, np.array([ALONG, -ALONG]))
    np.testing.assert_allclose(there, back, atol=1e-6)


def test_gathering_is_the_adjoint_of_spreading(library):
    random, batch = np.random.default_rng(0), np.array([2, 0, 3])

    def waves(*shape):
        return (random.normal(size=shape) + 1j * random.normal(size=shape)).astype(np.complex64)

    for path in (np.tile(ALONG, (4, 1)), random.uniform(-5, 5, (4, 2))):
        exposure = Exposure.of(path, 4)
        for probe in (waves(2, N, N), waves(3, 2, N, N)):
            on_modes = waves(3, 8, N, N)
            spread = library.numpy(exposure.spread(library.array(probe), batch, library.xp))
            gathered = exposure.gather(library.array(on_modes), batch, library.xp)
            left = np.vdot(np.broadcast_to(spread, on_modes.shape), on_modes)
            right = np.vdot(np.broadcast_to(probe, (3, 2, N, N)), library.numpy(gathered))
            assert left == pytest.approx(right, rel=1e-4)


def test_light_is_that_of_the_smeared_probe(scene):
    probe, path = scene[2], np.array([ALONG, [0.0, 3.0]])
    light = Exposure.of(path, 5).light(probe, np.arange(2), xp)
    np.testing.assert_allclose(light.sum((1, 2)), 1, rtol=1e-4)
    assert light[1].var() > light[0].var()  # the shorter path leaves more of its structure


def score(library, solution, truth, positions):
    x0, y0 = solution.canvas.origin
    low, high = np.ceil(positions.min(0)).astype(int), positions.max(0).astype(int)
    found = library.numpy(solution.object)
    here = found[low[1] - y0 : high[1] - y0, low[0] - x0 : high[0] - x0]
    return compare(here, truth[low[1] : high[1], low[0] : high[0]], remove_ramp=True).correlation


def test_a_fly_scan_is_solved_with_its_path(library, scene, fly):
    truth, positions, probe = scene
    arrays = library.array(fly), positions, library.array(probe)
    still = solve(*arrays, epochs=12)
    moving = solve(*arrays, epochs=12, exposure_path=ALONG)
    errors = [1 - score(library, s, truth, positions) for s in (moving, still)]
    assert errors[0] < 2e-4
    assert errors[0] < 0.2 * errors[1]
    assert moving.r_factors[-1] < 0.85 * still.r_factors[-1]
    np.testing.assert_array_equal(moving.exposure_path, np.tile(ALONG, (len(fly), 1)))


def test_light_variation_positions_and_probe_are_refined_in_a_fly_scan(library, scene, fly):
    truth, positions, probe = scene
    light = np.random.default_rng(2).uniform(0.6, 1.4, len(fly))
    counts = np.random.default_rng(3).poisson(fly * light[:, None, None]).astype(np.float32)
    wrong = probe * np.exp(0.5j * (np.hypot(*np.indices((N, N)) - N / 2) / 8) ** 2)
    options = {"update_probe": True, "refine_light": True, "probe_variation": 1}
    options |= {"refine_positions": True, "held_out": 0.1, "epochs": 12}
    solution = solve(
        library.array(counts),
        positions,
        library.array(wrong.astype(np.complex64)),
        exposure_path=ALONG,
        **options,
    )
    assert score(library, solution, truth, positions) > 0.995
    assert np.corrcoef(solution.light, light)[0, 1] > 0.98
    found = library.numpy(solution.probe)[0]
    assert abs(np.vdot(found, probe)) / np.linalg.norm(found) > 0.99 > abs(np.vdot(wrong, probe))


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_the_path_of_lines_there_and_back(share):
    positions = snake_scan((100, 80), 32, step=6.0, jitter=0.3, seed=0)
    path = exposure_path(positions, share)
    np.testing.assert_allclose(np.abs(path[:, 0]), 6 * share, atol=1.2)
    assert np.abs(path[:, 1]).max() < 1.2


def test_the_way_back_to_the_start_of_a_line_is_no_exposure():
    path = exposure_path(raster_scan((100, 80), 32, step=6.0))
    np.testing.assert_allclose(path, np.tile([6.0, 0.0], (len(path), 1)), atol=1e-9)


def test_the_path_of_a_spiral_follows_it():
    positions = spiral_scan((160, 160), 32, number=200)
    path = exposure_path(positions)
    steps = np.diff(positions, axis=0)
    np.testing.assert_allclose(path[9:150], ((steps[1:] + steps[:-1]) / 2)[8:149])


def test_what_is_no_path_is_refused(scene, fly):
    _, positions, probe = scene
    for path in (np.zeros(3), np.zeros((5, 2)), np.array([21.0, 0.0]), np.array([np.nan, 0])):
        with pytest.raises(InvalidValueError) as caught:
            solve(fly, positions, probe, exposure_path=path)
        assert caught.value.name == "exposure_path"
    with pytest.raises(InvalidValueError) as caught:
        solve(fly, positions, probe, exposure_path=ALONG, near_field=0.1)
    assert caught.value.name == "exposure_path"
    scattered = np.random.default_rng(0).uniform(0, 100, (40, 2))
    for given, share, name in ((scattered, 1, "positions"), (positions, 0.0, "share"),
                               (positions[:2], 1, "positions")):  # fmt: skip
        with pytest.raises(InvalidValueError) as caught:
            exposure_path(given, share)
        assert caught.value.name == name
