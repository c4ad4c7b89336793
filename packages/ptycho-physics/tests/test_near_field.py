import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import NearField, NearFieldGeometry, fresnel_propagate, propagated_intensity
from ptycho_physics.solver._optics import near_field_border

LENGTHS = {"wavelength_m": 1e-10, "detector_pixel_m": 1e-6, "distance_m": 0.1}


def test_a_parallel_beam_keeps_the_size():
    geometry = NearFieldGeometry(**LENGTHS)
    assert (geometry.magnification, geometry.pixel_size_m) == (1, 1e-6)
    assert geometry.fresnel_number == pytest.approx(1e-12 / (1e-10 * 0.1))


def test_a_cone_beam_is_a_parallel_beam_of_smaller_pixel_and_distance():
    """The Fresnel integral of a spherical wave, evaluated on a fine grid."""
    wavelength, z1, z2 = 0.5, 100.0, 100.0
    geometry = NearFieldGeometry(
        wavelength_m=wavelength, detector_pixel_m=2.0, distance_m=z2, source_distance_m=z1
    )
    assert (geometry.magnification, geometry.pixel_size_m) == (2, 1)
    fine, N = 0.25, 512
    x = fine * (np.arange(N) - N // 2)
    r2 = x**2 + x[:, None] ** 2
    sample = np.exp(-r2 / (2 * 5.0**2)) * (1 + 0.5 * np.cos(x / 2))
    spherical = sample * np.exp(1j * np.pi * r2 / (wavelength * z1))
    exact = fresnel_propagate(spherical, z2, wavelength=wavelength, pixel_size=fine)
    n = 64
    coarse = N // 2 + (np.arange(n) - n // 2) * 4  # 1 = pixel of the object
    waves = sample[np.ix_(coarse, coarse)][None].astype(complex)
    model = NearField.of(geometry.fresnel_number, n, waves, np)
    found = propagated_intensity(waves, np.ones((1, n, n), complex), model)[0]
    detector = N // 2 + (np.arange(n // 2) - n // 4) * 8  # 2 = pixel of the detector
    expected = np.abs(exact[np.ix_(detector, detector)]) ** 2 * geometry.magnification**2
    middle = slice(n // 2 - n // 4, n // 2 + n // 4)
    np.testing.assert_allclose(found[middle, middle], expected, atol=1e-3 * expected.max())


@pytest.mark.parametrize("N", [16, 15])
def test_a_bright_pixel_appears_behind_itself(any_library, N):
    patch = np.zeros((1, N, N), complex)
    patch[0, 5, 9] = 1
    patch = any_library.array(patch)
    model = NearField.of(50.0, N, patch, any_library.xp)
    ones = any_library.array(np.ones((1, N, N), complex))
    image = any_library.numpy(propagated_intensity(patch, ones, model, xp=any_library.xp))[0]
    assert np.unravel_index(image.argmax(), image.shape) == (5, 9)
    assert image.sum() == pytest.approx(1)


@pytest.mark.parametrize("name", LENGTHS)
def test_refuses_lengths_that_are_none(name):
    with pytest.raises(InvalidValueError) as caught:
        NearFieldGeometry(**{**LENGTHS, name: 0.0})
    assert caught.value.name == name


@pytest.mark.parametrize("number", [1 / 17, -1.0, np.inf, np.nan])
def test_refuses_a_fresnel_number_that_the_pattern_cannot_hold(number):
    with pytest.raises(InvalidValueError) as caught:
        near_field_border(number, 16)
    assert caught.value.name == "near_field"


def test_light_comes_from_a_border_as_wide_as_it_travels():
    assert near_field_border(None, 64) == 0
    assert near_field_border(0.1, 62) == 5  # 72 pixels have a fast FFT
    assert near_field_border(0.1, 64) == 8  # 74 do not: 80 have
    assert near_field_border(1 / 64, 64) == 16  # a quarter of the pattern at most
