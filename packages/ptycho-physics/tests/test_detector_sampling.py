"""Detectors with coarse pixels: waves on a finer grid, in patches that are wider."""

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    Canvas,
    Slices,
    coarse_intensity,
    compare,
    fermat_scan,
    random_cells,
    simulate_counts,
    solve,
)
from ptycho_physics._detector_sampling import SampledFarField, collected

N = 16
SHAPE = (84, 88)


def lens(size, radius=8.0, curvature=44.0):
    """The probe of a lens, of the same beam on any grid; wide means wider than N pixels."""
    q = np.arange(size) - size // 2
    pupil = np.hypot(q, q[:, None]) < radius * size / 32
    spectrum = pupil * np.exp(-1j * np.pi * curvature * (q**2 + q[:, None] ** 2) / size**2)
    wave = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum)))
    return (wave / np.linalg.norm(wave))[None].astype(np.complex64)


@pytest.fixture(scope="module")
def scene():
    """Object, wide probe, positions and counts of a coarse detector."""
    truth, probe = random_cells(SHAPE, radius=(4, 9), seed=3), lens(2 * N)
    positions = fermat_scan(SHAPE, 2 * N, number=140)
    return truth, probe, positions, simulate_counts(truth, probe, positions, 1e6, 0, **COARSE)


COARSE = {"detector_sampling": 2}


def score(library, solution, truth):
    found = library.numpy(solution.object)
    size = solution.probe.shape[-1]
    inner = slice(size // 2, -size // 2)
    truth = truth[Canvas(origin=(0, 0), shape=SHAPE).window(solution.canvas)]
    return compare(found[inner, inner], truth[inner, inner], remove_ramp=True).correlation


def waves(size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, size, size)) + 1j * rng.normal(size=(2, size, size))


def patterns(library, wave, sampling):
    """What a coarse detector counts of waves (b, sN, sN)."""
    put, size = library.array, wave.shape[-1]
    probe = put(np.ones((1, size, size), np.complex128))
    return library.numpy(coarse_intensity(put(wave), probe, sampling))


@pytest.mark.parametrize(("side", "sampling"), [(8, 2), (8, 3), (6, 4), (7, 2), (7, 3)])
def test_a_pixel_counts_the_fourier_integral_at_points_around_its_centre(library, side, sampling):
    size = side * sampling
    wave = waves(size)
    r = np.arange(size) - size // 2
    expected = np.zeros((2, side, side))
    centres = (np.arange(side) - side // 2) / side
    points = (np.arange(sampling) - (sampling - 1) / 2) / size
    for dy in points:
        for dx in points:
            rows = np.exp(-2j * np.pi * (centres + dy)[:, None] * r)
            columns = np.exp(-2j * np.pi * (centres + dx)[:, None] * r)
            expected += np.abs(rows @ wave @ columns.T / size) ** 2
    np.testing.assert_allclose(patterns(library, wave, sampling), expected, rtol=1e-9)


@pytest.mark.parametrize("sampling", [2, 3])
def test_a_symmetric_beam_falls_on_the_middle_of_the_centre_pixel(library, sampling):
    """Pixels that began or ended at zero frequency would have the beam half a pixel aside."""
    size = sampling * N
    r = np.arange(size) - size // 2
    wave = np.exp(-(r**2 + r[:, None] ** 2) / 40.0)[None]
    (light,) = patterns(library, wave, sampling)
    axis = np.arange(N) - N // 2
    assert abs(np.sum(light * axis)) < 1e-6 * light.sum()
    assert abs(np.sum(light * axis[:, None])) < 1e-6 * light.sum()
    tilt = np.exp(2j * np.pi * (3 * r - 2 * r[:, None]) / N)
    (moved,) = patterns(library, wave * tilt, sampling)
    np.testing.assert_allclose(moved, np.roll(light, (-2, 3), axis=(0, 1)), atol=1e-9)


def test_every_photon_is_counted_once(library):
    xp, wave = library.xp, waves(3 * N)
    light = collected(library.array(np.abs(wave) ** 2), 3, xp)
    assert light.shape == (2, N, N)
    np.testing.assert_allclose(
        library.numpy(light).sum(axis=(1, 2)), (np.abs(wave) ** 2).sum(axis=(1, 2))
    )
    assert library.numpy(light)[1, 2, 5] == pytest.approx(np.sum(np.abs(wave[1, 6:9, 15:18]) ** 2))


def test_backward_is_the_adjoint_of_forward(library):
    xp, put = library.xp, library.array
    patches, change = put(waves(2 * N)), put(waves(2 * N, seed=1)[:, None])
    probe, other = put(waves(2 * N, seed=2)[:1]), waves(2 * N, seed=3)
    far = SampledFarField.of(2, 2 * N, probe, xp)

    def inner(a, b):
        return complex(np.vdot(library.numpy(a), library.numpy(b)))

    on_patches, on_probe = far.backward(change + 0, patches, probe, None, xp, probe_too=True)
    by_patches, _ = far.forward(put(other), probe, xp)
    by_probe, _ = far.forward(patches, put(other[:1]), xp)
    assert inner(change, by_patches) == pytest.approx(inner(on_patches, put(other)))
    summed = library.numpy(on_probe).sum(axis=0)
    assert inner(change, by_probe) == pytest.approx(complex(np.vdot(summed, other[:1])))


def test_a_wide_beam_needs_waves_finer_than_the_detector(library, scene):
    truth, probe, positions, counts = scene
    put = library.array
    narrow = probe[:, N // 2 : -N // 2, N // 2 : -N // 2]
    assert np.sum(np.abs(narrow) ** 2) < 0.85  # it is wider than N pixels
    known = solve(put(counts), positions, put(probe), epochs=15, **COARSE)
    assert known.probe.shape == (1, 2 * N, 2 * N)
    assert known.detector_sampling == 2
    assert known.canvas.shape == Canvas.covering(positions, 2 * N).shape
    assert score(library, known, truth) > 0.995
    refined = {"epochs": 30, "update_probe": True}
    without = solve(put(counts), positions, put(narrow), **refined)
    grown = solve(put(counts), positions, put(narrow), **refined, **COARSE)
    assert score(library, without, truth) < 0.97
    assert score(library, grown, truth) > 0.99


def test_all_that_is_fitted_beside_it(library, scene):
    truth, probe, positions, counts = scene
    rng = np.random.default_rng(4)
    light = rng.uniform(0.7, 1.3, len(counts))
    counts = rng.poisson(counts * light[:, None, None] + 60.0).astype(np.float32)
    mask = np.zeros((N, N), bool)
    mask[3, 4:9] = True
    counts[:, mask] = np.nan
    wrong = positions + rng.normal(scale=0.6, size=positions.shape)
    fitted = {"refine_light": True, "background": "constant", "refine_positions": True}
    put = library.array
    settings = {"epochs": 25, "held_out": 0.1, **fitted, **COARSE}
    solution = solve(put(counts), wrong, put(probe), mask=put(mask), **settings)
    assert score(library, solution, truth) > 0.98
    assert solution.background.shape == (N, N)
    assert solution.background.mean() == pytest.approx(60, rel=0.2)
    assert np.corrcoef(solution.light, light)[0, 1] > 0.99
    before = np.std(wrong - positions)
    assert np.std(solution.positions - positions) < 0.6 * before
    assert solution.held_out.deviances[-1] < 0.2 * solution.held_out.deviances[0]


def test_slices_and_fly_scans_on_a_coarse_detector():
    slices = Slices(number=2, thickness=250.0, wavelength=0.1, pixel_size=1.0)
    objects = np.stack([random_cells(SHAPE, radius=(4, 9), seed=seed) for seed in (1, 2)])
    positions, probe = fermat_scan(SHAPE, 2 * N, number=120), lens(2 * N)
    counts = simulate_counts(objects, probe, positions, 1e6, 0, slices=slices, **COARSE)
    thick = solve(counts, positions, probe, epochs=12, slices=slices, **COARSE)
    thin = solve(counts, positions, probe, epochs=12, **COARSE)
    assert thick.r_factors[-1] < 0.7 * thin.r_factors[-1]
    path = np.array([12.0, 0.0])
    positions = fermat_scan((72, 76), 2 * N, number=120) + 6
    moments = (np.arange(8) + 0.5) / 8 - 0.5
    probe = lens(2 * N, curvature=15.0)  # dark where the path moves it over the rim
    flown = sum(
        simulate_counts(objects[0], probe, positions + t * path, 1e6, 0, **COARSE) for t in moments
    )
    flying = solve(flown, positions, probe, epochs=12, exposure_path=path, **COARSE)
    standing = solve(flown, positions, probe, epochs=12, **COARSE)
    assert flying.r_factors[-1] < 0.8 * standing.r_factors[-1]


def test_a_run_goes_on_with_the_same_bits(scene):
    _, probe, positions, counts = scene
    settings = {"update_probe": True, "probe_start": 1, "modes": 2, **COARSE}
    states = []

    def note(state):
        states.append(state())
        return False

    whole = solve(counts, positions, probe, epochs=4, between=note, **settings)
    half = states[len(states) // 2]
    resumed = solve(counts, positions, probe, epochs=4, state=half, **settings)
    np.testing.assert_array_equal(resumed.object, whole.object)
    np.testing.assert_array_equal(resumed.probe, whole.probe)


@pytest.mark.parametrize("value", [0, 9, 1.5, "2"])
def test_a_number_of_pixels_is_whole_and_small(scene, value):
    _, probe, positions, counts = scene
    with pytest.raises(InvalidValueError, match="a whole number from 1 to 8"):
        solve(counts, positions, probe, detector_sampling=value)


def test_what_does_not_go_together_is_refused(scene):
    _, probe, positions, counts = scene
    with pytest.raises(InvalidValueError, match="or 32 with detector_sampling=2, got shape"):
        solve(counts, positions, lens(3 * N), **COARSE)
    with pytest.raises(InvalidValueError, match="left out with near_field"):
        solve(counts, positions, probe, near_field=0.5, **COARSE)
    with pytest.raises(InvalidValueError, match="a divisor of 32"):
        simulate_counts(np.ones(SHAPE), probe, positions, 1e6, 0, detector_sampling=3)
    with pytest.raises(InvalidValueError, match="1 in the near field"):
        simulate_counts(np.ones(SHAPE), probe, positions, 1e6, 0, near_field=0.5, **COARSE)
    with pytest.raises(InvalidValueError, match="initial must be"):
        solve(counts, positions, probe, initial=np.ones(SHAPE, np.complex64)[:-4], **COARSE)
