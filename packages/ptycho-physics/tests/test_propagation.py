import numpy as np
import pytest
from ptycho_physics import angular_spectrum_propagate, fresnel_propagate

BOTH = [fresnel_propagate, angular_spectrum_propagate]
LENGTHS = {"wavelength": 0.5, "pixel_size": 1.0}


def gaussian(N, waist, q):
    """A Gaussian beam (B. Saleh and M. Teich, ch. 3) at the complex parameter q = 1 + iz/z0."""
    x = np.arange(N) - N // 2
    squared = x**2 + x[:, None] ** 2
    return np.exp(-squared / (waist**2 * q)) / q


@pytest.mark.parametrize("propagate", BOTH)
@pytest.mark.parametrize("shape", [(2, 16, 16), (15, 15)])
def test_conserves_power_and_comes_back(any_library, complex_normal, propagate, shape):
    field = complex_normal(*shape)
    there = propagate(any_library.array(field), 7.0, **LENGTHS, xp=any_library.xp)
    np.testing.assert_allclose(np.linalg.norm(any_library.numpy(there)), np.linalg.norm(field))
    back = propagate(there, -7.0, **LENGTHS, xp=any_library.xp)
    np.testing.assert_allclose(any_library.numpy(back), field, atol=1e-12)


@pytest.mark.parametrize("N", [128, 129])
def test_a_gaussian_beam_spreads_as_in_the_textbook(N):
    waist, distance = 6.0, 150.0
    q = 1 + 1j * distance * LENGTHS["wavelength"] / (np.pi * waist**2)
    found = fresnel_propagate(gaussian(N, waist, 1) + 0j, distance, **LENGTHS)
    np.testing.assert_allclose(found, gaussian(N, waist, q), atol=1e-9)


@pytest.mark.parametrize("distance", [900.0, 2500.0])
def test_a_square_aperture_casts_the_fresnel_pattern(distance):
    """The field behind a square aperture, from Fresnel integrals (J. Goodman, sec. 4.5.1)."""
    special = pytest.importorskip("scipy.special", reason="the closed form needs Fresnel integrals")
    N, half = 1024, 96.5  # edges between pixels, at sample +-96.5
    x = np.arange(N) - N // 2
    aperture = (np.abs(x) < half).astype(complex)
    found = fresnel_propagate(aperture[:, None] * aperture, distance, **LENGTHS)
    scale = np.sqrt(2 / (LENGTHS["wavelength"] * distance))
    (s1, c1), (s2, c2) = (special.fresnel(scale * (edge - x)) for edge in (-half, half))
    line = ((c2 - c1) + 1j * (s2 - s1)) / np.sqrt(2j)
    expected = line[:, None] * line
    inside = np.abs(x) < 200
    window = np.ix_(inside, inside)
    error = np.linalg.norm((found - expected)[window]) / np.linalg.norm(expected[window])
    assert error < 0.02  # a pixel's edge is not the aperture's: what is beyond Nyquist is missing


def test_the_two_agree_for_small_angles_and_differ_for_large():
    x = np.arange(64) - 32
    wide = np.exp(-(x**2 + x[:, None] ** 2) / (2 * 8.0**2)).astype(complex)
    narrow = np.exp(-(x**2 + x[:, None] ** 2) / (2 * 0.7**2)).astype(complex)
    for field, low, high in ((wide, 0, 1e-3), (narrow, 1e-2, 1)):
        a, b = (propagate(field, 20.0, **LENGTHS) for propagate in BOTH)
        assert low <= np.linalg.norm(a - b) / np.linalg.norm(field) < high


def test_a_plane_wave_gains_the_phase_of_its_angle():
    N, k, distance, wavelength = 32, 5, 11.0, 2.0
    wave = np.broadcast_to(np.exp(2j * np.pi * k * np.arange(N) / N), (N, N))
    found = angular_spectrum_propagate(wave, distance, wavelength=wavelength, pixel_size=1.0)
    cosine = np.sqrt(1 - (wavelength * k / N) ** 2)
    expected = wave * np.exp(2j * np.pi * distance / wavelength * (cosine - 1))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_evanescent_waves_do_not_arrive():
    N = 16
    wave = np.broadcast_to(np.exp(2j * np.pi * 7 * np.arange(N) / N), (N, N))
    found = angular_spectrum_propagate(wave, 1.0, wavelength=3.0, pixel_size=1.0)
    np.testing.assert_allclose(found, 0, atol=1e-12)


@pytest.mark.parametrize("propagate", BOTH)
def test_keeps_single_precision(propagate, complex_normal):
    assert propagate(complex_normal(8, 8, dtype=np.complex64), 3.0, **LENGTHS).dtype == np.complex64
