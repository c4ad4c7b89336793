import math

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics._forward import propagate
from ptycho_physics._propagation import fresnel_propagate
from ptycho_physics.probes import (
    circular_mask,
    defocused_probe,
    disk_probe,
    gaussian_probe,
    probe_from_array,
    smooth_probe,
    speckle_probe,
    zone_plate_probe,
)

FACTORIES = [disk_probe, gaussian_probe, defocused_probe]


def width(field):
    """Root mean square radius per axis of the intensity, about pixel [N//2, N//2]."""
    light = np.abs(field.astype(complex)) ** 2
    x = np.arange(light.shape[-1]) - light.shape[-1] // 2
    return math.sqrt(np.sum(light * x**2) / np.sum(light))


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("N", [32, 33, 64])
def test_probes_have_modes_first_unit_power_and_their_centre_at_half(factory, N):
    probe = factory(N)
    assert probe.shape == (1, N, N)
    assert probe.dtype == np.complex64
    assert np.sum(np.abs(probe) ** 2) == pytest.approx(1, abs=1e-5)
    # An odd window about the centre pixel is symmetric under point reflection.
    half = (N - 1) // 2
    core = probe[0, N // 2 - half : N // 2 + half + 1, N // 2 - half : N // 2 + half + 1]
    np.testing.assert_allclose(core, core[::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(core, core.T, atol=1e-6)


def test_disk_has_its_area_and_a_flat_top():
    probe = np.abs(disk_probe(64, 30)[0])
    light = probe / probe[32, 32]
    assert np.sum(light) == pytest.approx(math.pi * 15**2, rel=0.01)
    assert light[32, 32 + 13] == pytest.approx(1)
    assert light[32, 32 + 17] == 0
    assert light[32, 32 + 15] == pytest.approx(0.5, abs=1e-6)


def test_disk_curvature_is_the_phase_at_the_rim():
    probe = disk_probe(64, 40, curvature=2.0)[0]
    assert np.angle(probe[32, 52] / probe[32, 32]) == pytest.approx(2.0, abs=1e-5)


def test_gaussian_has_its_width_and_a_gaussian_far_field():
    N, fwhm = 64, 10.0
    probe = gaussian_probe(N, fwhm)[0]
    light = np.abs(probe) ** 2
    assert light[32, 32 + 5] / light[32, 32] == pytest.approx(0.5, rel=1e-5)
    # exp(-(r/w)^2) transforms to exp(-(pi w f)^2)
    w = fwhm / math.sqrt(2 * math.log(2))
    far = np.abs(propagate(probe))
    f = np.arange(N) - N // 2
    np.testing.assert_allclose(
        far[32] / far[32, 32], np.exp(-((math.pi * w * f / N) ** 2)), atol=1e-5
    )


@pytest.mark.parametrize("distance", [-3e-3, 1e-3, 4e-3])
def test_defocused_gaussian_spreads_as_a_gaussian_beam(distance):
    N, wavelength, pixel = 256, 1e-10, 20e-9
    waist = 10 * pixel
    fwhm = waist * math.sqrt(2 * math.log(2)) / pixel
    beam = gaussian_probe(N, fwhm)[0]
    moved = fresnel_propagate(beam, distance, wavelength=wavelength, pixel_size=pixel)
    rayleigh = math.pi * waist**2 / wavelength
    expected = 10 / 2 * math.sqrt(1 + (distance / rayleigh) ** 2)
    assert width(moved) == pytest.approx(expected, rel=1e-3)


def test_defocus_spreads_light_to_the_cone_of_rays():
    def enclosed(probe, diameter):
        y, x = np.indices(probe.shape[-2:]) - 64
        return np.sum(np.abs(probe[0]) ** 2 * (np.hypot(x, y) <= diameter / 2))

    probe = defocused_probe(128, 60, aperture=0.4, central_stop=0)
    assert enclosed(probe, 66) > 0.9
    assert enclosed(probe, 30) == pytest.approx(0.25, abs=0.05)  # evenly lit
    assert enclosed(defocused_probe(128, 0, aperture=0.4), 12) > 0.8  # the focus is small


def test_defocus_leaves_the_far_field_an_annulus():
    far = np.abs(propagate(defocused_probe(64, 32, aperture=0.5, central_stop=0.5)[0])) ** 2
    y, x = np.indices(far.shape) - 32
    r = np.hypot(x, y)
    assert np.sum(far[(r > 7.5) & (r < 16.5)]) > 0.999
    assert far[32, 32] < 1e-9


def test_opposite_defocus_is_the_conjugate_probe():
    below, above = defocused_probe(64, 30), defocused_probe(64, -30)
    np.testing.assert_allclose(above, np.conj(below), atol=1e-6)


def test_zone_plate_in_metres_is_the_probe_in_pixels():
    pixel, zone, wavelength = 20e-9, 50e-9, 1.5e-10
    aperture = pixel / zone
    defocus = 30 / aperture * pixel**2 / wavelength  # 30 pixels across
    metres = zone_plate_probe(
        64,
        wavelength_m=wavelength,
        pixel_size_m=pixel,
        outer_zone_width_m=zone,
        defocus_m=defocus,
    )
    np.testing.assert_allclose(metres, defocused_probe(64, 30, aperture=aperture), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.complex64, np.float32, np.uint8])
def test_an_array_of_ones_own_becomes_a_probe(dtype):
    field = np.eye(6).astype(dtype)
    probe = probe_from_array(field)
    assert probe.shape == (1, 6, 6)
    assert probe.dtype == np.complex64
    np.testing.assert_allclose(probe[0], np.eye(6) / math.sqrt(6), rtol=1e-6)
    np.testing.assert_array_equal(probe_from_array(np.stack([field, field])).shape, (2, 6, 6))


@pytest.mark.parametrize("N", [32, 33])
def test_circular_mask_has_its_area_and_its_centre(N):
    mask = circular_mask(N, 20)
    assert mask.sum() == pytest.approx(math.pi * 10**2, rel=0.01)
    assert mask[N // 2, N // 2] == 1
    rows, columns = np.indices(mask.shape)
    assert (mask * rows).sum() / mask.sum() == pytest.approx(N // 2)
    assert (mask * columns).sum() / mask.sum() == pytest.approx(N // 2)


def test_smoothing_adds_the_variance_of_its_gaussian():
    probe, sigma = gaussian_probe(64, 10), 3.0
    smooth = smooth_probe(probe, sigma)
    # Amplitudes convolve: their variances, twice those of the intensity, add up.
    assert 2 * width(smooth) ** 2 == pytest.approx(2 * width(probe) ** 2 + sigma**2, rel=1e-3)
    assert np.linalg.norm(smooth) == pytest.approx(1)


def test_smoothing_takes_away_noise():
    noise = np.random.default_rng(0).normal(size=(2, 1, 48, 48)) * 0.01
    clean = defocused_probe(48)
    rough = probe_from_array(clean + noise[0] + 1j * noise[1])
    overlap = [abs(np.vdot(p, smooth_probe(clean, 1.0))) for p in (rough, smooth_probe(rough, 1.0))]
    assert overlap[1] > overlap[0]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: disk_probe(1), "N"),
        (lambda: disk_probe(32, 40), "diameter"),
        (lambda: disk_probe(32, edge=0), "edge"),
        (lambda: gaussian_probe(32, 0), "fwhm"),
        (lambda: defocused_probe(32, 100), "diameter"),
        (lambda: defocused_probe(32, aperture=1.5), "aperture"),
        (lambda: defocused_probe(32, central_stop=1), "central_stop"),
        (lambda: probe_from_array(np.ones((4, 5))), "probe"),
        (lambda: probe_from_array(np.full((4, 4), np.nan)), "probe"),
        (lambda: probe_from_array(np.zeros((4, 4))), "probe"),
        (lambda: circular_mask(16, 0), "diameter"),
        (lambda: smooth_probe(disk_probe(16), 0), "sigma"),
        (
            lambda: zone_plate_probe(
                32, wavelength_m=1e-10, pixel_size_m=1e-8, outer_zone_width_m=5e-8, defocus_m=1
            ),
            "defocus_m",
        ),
    ],
)
def test_sizes_out_of_range_are_named(call, name):
    with pytest.raises(InvalidValueError) as caught:
        call()
    assert caught.value.name == name


def test_speckle_of_the_size_that_was_asked_for():
    field = speckle_probe(256, 8.0, seed=3)[0]
    speckle = field - field.mean()
    power = np.abs(np.fft.ifft2(np.abs(np.fft.fft2(speckle)) ** 2))
    assert power[0, 4] / power[0, 0] == pytest.approx(0.5, abs=0.05)
    assert abs(field.mean()) ** 2 == pytest.approx(np.mean(np.abs(speckle) ** 2), rel=0.1)
