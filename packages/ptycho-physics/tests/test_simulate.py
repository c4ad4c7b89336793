import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import Slices, angular_spectrum_propagate, fresnel_propagate
from ptycho_physics._forward import intensity
from ptycho_physics._modes import orthogonal_modes
from ptycho_physics._patches import extract_patches
from ptycho_physics._simulate import simulate_counts
from ptycho_physics.objects import random_cells
from ptycho_physics.probes import defocused_probe, gaussian_probe
from ptycho_physics.scans import fermat_scan

N = 32


@pytest.fixture(scope="module")
def scene():
    made = random_cells((80, 90), seed=2)
    return made, defocused_probe(N), fermat_scan(made.shape, N, number=40)


def test_counts_are_whole_float32_numbers_with_the_mean_asked_for(scene):
    counts = simulate_counts(*scene, photons=1e5, seed=0)
    assert counts.shape == (40, N, N)
    assert counts.dtype == np.float32
    assert np.all(counts == np.floor(counts))
    assert np.all(counts >= 0)
    # 4e6 photons: the mean is known to 0.05 per cent
    assert counts.sum(axis=(1, 2)).mean() == pytest.approx(1e5, rel=3e-3)


def test_counts_follow_the_poisson_distribution_of_the_model(scene):
    made, probe, positions = scene
    rate = intensity(extract_patches(made, positions, N), probe).astype(float)
    rate *= 1e6 / rate.sum(axis=(1, 2)).mean()
    counts = simulate_counts(made, probe, positions, 1e6, 1)
    bright = rate > 20
    chi2 = np.mean((counts - rate)[bright] ** 2 / rate[bright])
    assert chi2 == pytest.approx(1, abs=5 * np.sqrt(2 / bright.sum()))


def test_empty_object_gives_the_far_field_of_the_probe():
    probe = gaussian_probe(N, 8.0)
    positions = np.array([[16.0, 16.0], [20.25, 18.5]])
    counts = simulate_counts(np.ones((40, 40), complex), probe, positions, 1e8, 0)
    waist = 8 / np.sqrt(2 * np.log(2))
    f = (np.arange(N) - N // 2) / N
    line = np.exp(-2 * (np.pi * waist * f) ** 2)
    expected = np.outer(line, line)
    expected *= 1e8 / expected.sum()
    bright = expected > 1e4
    np.testing.assert_allclose(counts[0][bright], expected[bright], rtol=0.05)
    assert np.unravel_index(np.argmax(counts[1]), (N, N)) == (N // 2, N // 2)


def test_batch_does_not_change_the_counts_and_seed_does(scene):
    counts = simulate_counts(*scene, photons=1e4, seed=3)
    np.testing.assert_array_equal(simulate_counts(*scene, photons=1e4, seed=3, batch=7), counts)
    assert np.any(simulate_counts(*scene, photons=1e4, seed=4) != counts)


def test_the_detector_takes_its_toll(scene):
    bad = np.zeros((N, N), dtype=bool)
    bad[N // 2, N // 2] = True
    options = {"read_noise": 2.0, "saturation": 40.0, "bad_pixels": bad}
    counts = simulate_counts(*scene, photons=1e4, seed=3, **options)
    ideal = simulate_counts(*scene, photons=1e4, seed=3)
    assert (counts[:, bad] == 0).all()
    assert counts.max() == 40 < ideal.max()
    quiet = ideal[:, ~bad] < 20
    assert 1.0 < (counts - ideal)[:, ~bad][quiet].std() < 2.0  # what is below zero is cut off
    np.testing.assert_array_equal(
        simulate_counts(*scene, photons=1e4, seed=3, batch=7, **options), counts
    )


def test_only_the_relative_power_of_modes_matters(scene):
    made, probe, positions = scene
    modes = orthogonal_modes(probe, 3)
    # a power of two is exact in floating point, so the same random numbers are drawn
    once, twice = (simulate_counts(made, p, positions, 1e5, 0) for p in (modes, 4 * modes))
    np.testing.assert_array_equal(once, twice)
    assert np.any(once != simulate_counts(made, probe, positions, 1e5, 0))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"object": np.ones((2, 80, 90), complex)}, "object"),
        ({"object": np.full((80, 90), np.nan + 0j)}, "object"),
        ({"object": np.zeros((80, 90), complex)}, "object"),
        ({"probe": np.ones((N, N), complex)}, "probe"),
        ({"positions": np.zeros((0, 2))}, "positions"),
        ({"positions": np.array([[3.0, 40.0]])}, "positions"),
        ({"photons": 0.0}, "photons"),
        ({"batch": 0}, "batch"),
    ],
)
def test_bad_input_is_named(scene, change, name):
    arguments = dict(zip(("object", "probe", "positions"), scene, strict=True))
    with pytest.raises(InvalidValueError) as caught:
        simulate_counts(**{**arguments, "photons": 1e4, "seed": 0, **change})
    assert caught.value.name == name


def test_slices_are_passed_one_after_the_other(scene):
    made, probe, positions = scene
    second = random_cells(made.shape, seed=5)
    slices = Slices(number=2, thickness=30.0, wavelength=0.5, pixel_size=1.0)
    counts = simulate_counts(
        np.stack([made, second]), probe, positions, 1e7, 0, slices=slices, batch=7
    )
    first, then = (extract_patches(o, positions, N) for o in (made, second))
    wave = angular_spectrum_propagate(first * probe, 30.0, wavelength=0.5, pixel_size=1.0)
    rate = np.abs(np.fft.fftshift(np.fft.fft2(wave * then), axes=(-2, -1))) ** 2
    rate = rate * 1e7 / rate.sum((1, 2)).mean()
    assert counts.sum((1, 2)).mean() == pytest.approx(1e7, rel=1e-3)
    assert abs(np.sqrt(counts) - np.sqrt(rate)).sum() / np.sqrt(rate).sum() < 0.02


def test_near_field_is_an_image_that_light_from_outside_reaches():
    number, border = 0.1, 5
    made, n = random_cells((90, 90), seed=2), 32 + 2 * border
    probe = gaussian_probe(n, 200.0)
    at = np.array([[45.0, 45.0]])
    counts = simulate_counts(made, probe, at, 1e7, 0, near_field=number, border=border)
    assert counts.shape == (1, 32, 32)
    field = made[45 - n // 2 : 45 + n // 2, 45 - n // 2 : 45 + n // 2] * probe[0]
    image = np.abs(fresnel_propagate(field, 1 / number, wavelength=1.0, pixel_size=1.0)) ** 2
    image = image[border:-border, border:-border]
    image *= 1e7 / image.sum()
    chi2 = np.mean((counts[0] - image) ** 2 / image)
    assert chi2 == pytest.approx(1, abs=0.2)


def test_refuses_slices_that_the_object_does_not_have(scene):
    slices = Slices(number=3, thickness=30.0, wavelength=0.5, pixel_size=1.0)
    with pytest.raises(InvalidValueError) as caught:
        simulate_counts(*scene, 1e4, 0, slices=slices)
    assert caught.value.name == "object"
