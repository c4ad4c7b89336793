"""Probes of optics: sizes in closed form, and the signs of defocus."""

import math

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import defocused_probe, fresnel_propagate
from ptycho_physics.optics import curved_probe, electron_probe, mirror_probe, pinhole_probe
from ptycho_physics.probe_sampling import resample_probe

N, LAMBDA, PIXEL = 128, 1e-10, 20e-9


def width(probe: np.ndarray, axis: int) -> int:
    """Pixels along an axis whose light is at least a third of the brightest."""
    light = np.sum(np.abs(probe) ** 2, axis=0).sum(axis=1 - axis)
    return int(np.sum(light > light.max() / 3))


def rms(probe: np.ndarray, axis: int) -> float:
    """Root mean square distance from the centre along an axis (0 rows, 1 columns), pixels."""
    light = np.sum(np.abs(probe) ** 2, axis=0).sum(axis=1 - axis)
    return float(np.sqrt(light @ (np.arange(len(light)) - len(light) // 2) ** 2 / light.sum()))


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(abs(np.vdot(one, other)) / np.linalg.norm(one) / np.linalg.norm(other))


def test_a_curved_pupil_is_a_propagated_focus() -> None:
    focus = curved_probe(np.abs(far_field(defocused_probe(64, 0))), 0)
    moved = fresnel_propagate(focus, 37.0, wavelength=1.0, pixel_size=1.0)
    curved = curved_probe(np.abs(far_field(defocused_probe(64, 0))), 37.0)
    assert alike(curved, moved) > 1 - 1e-5


def far_field(probe: np.ndarray) -> np.ndarray:
    field = np.fft.fft2(np.fft.ifftshift(probe[0]))
    return np.fft.fftshift(field)


def test_an_electron_probe_has_the_size_of_its_cone() -> None:
    # 300 kV: a disk of angle times defocus, whose rms radius is R / sqrt(2)
    probe = electron_probe(
        256, wavelength_m=1.9687e-12, pixel_size_m=2e-10, semi_angle_rad=1.03e-3, defocus_m=-13.5e-6
    )
    radius = 1.03e-3 * 13.5e-6 / 2e-10
    assert math.hypot(rms(probe, 0), rms(probe, 1)) == pytest.approx(
        radius / math.sqrt(2), rel=0.03
    )


def test_positive_defocus_diverges_and_equals_propagation() -> None:
    focus = electron_probe(N, wavelength_m=LAMBDA, pixel_size_m=PIXEL, semi_angle_rad=1e-3)
    for distance in (50e-6, -50e-6):
        moved = fresnel_propagate(focus, distance, wavelength=LAMBDA, pixel_size=PIXEL)
        made = electron_probe(
            N, wavelength_m=LAMBDA, pixel_size_m=PIXEL, semi_angle_rad=1e-3, defocus_m=distance
        )
        assert alike(made, moved) > 1 - 1e-5


def test_astigmatism_makes_two_line_foci() -> None:
    lens = {"wavelength_m": LAMBDA, "pixel_size_m": PIXEL, "semi_angle_rad": 1e-3}
    line = electron_probe(N, **lens, defocus_m=200e-6, astigmatism_m=200e-6)
    assert width(line, 1) > 3 * width(line, 0)
    turned = electron_probe(
        N, **lens, defocus_m=200e-6, astigmatism_m=200e-6, astigmatism_angle_rad=math.pi / 2
    )
    assert width(turned, 0) > 3 * width(turned, 1)


def test_spherical_aberration_acts_like_overfocus_at_the_rim() -> None:
    lens = {"wavelength_m": LAMBDA, "pixel_size_m": PIXEL, "semi_angle_rad": 2e-3}
    aberrated = electron_probe(N, **lens, spherical_m=20.0)
    compensated = electron_probe(N, **lens, spherical_m=20.0, defocus_m=-50e-6)
    assert rms(compensated, 0) < rms(aberrated, 0)


def test_mirrors_focus_x_and_y_separately() -> None:
    optics = {
        "wavelength_m": LAMBDA,
        "pixel_size_m": PIXEL,
        "aperture_m": (200e-6, 100e-6),
        "focal_length_m": (0.1, 0.1),
    }
    probe = mirror_probe(N, **optics, defocus_m=0.6e-3)
    # shadows of the mirrors: angle times distance
    assert width(probe, 1) == pytest.approx(200e-6 / 0.1 * 0.6e-3 / PIXEL, rel=0.15)
    assert width(probe, 0) == pytest.approx(100e-6 / 0.1 * 0.6e-3 / PIXEL, rel=0.2)  # few fringes
    sharp_in_x = mirror_probe(N, **optics, defocus_m=0.3e-3, astigmatism_m=-0.6e-3)
    assert width(sharp_in_x, 1) < width(probe, 1) / 4
    assert width(sharp_in_x, 0) == pytest.approx(width(probe, 0), rel=0.2)


def test_a_pinhole_is_a_disk_that_spreads() -> None:
    near = pinhole_probe(N, wavelength_m=LAMBDA, pixel_size_m=PIXEL, diameter_m=1e-6)
    assert math.hypot(rms(near, 0), rms(near, 1)) == pytest.approx(25 / math.sqrt(2), rel=0.03)
    far = pinhole_probe(
        N, wavelength_m=LAMBDA, pixel_size_m=PIXEL, diameter_m=1e-6, distance_m=5e-3
    )
    assert rms(far, 0) > rms(near, 0)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"semi_angle_rad": 1.0}, "aperture"),
        ({"defocus_m": 1.0}, "defocus_m"),
        ({"wavelength_m": 0.0}, "wavelength_m"),
        ({"semi_angle_rad": math.nan}, "semi_angle_rad"),
        ({"defocus_m": math.nan}, "defocus_m"),
    ],
)
def test_impossible_optics_are_named(changed: dict[str, float], name: str) -> None:
    lens = {"wavelength_m": LAMBDA, "pixel_size_m": PIXEL, "semi_angle_rad": 1e-3} | changed
    with pytest.raises(InvalidValueError) as caught:
        electron_probe(N, **lens)
    assert caught.value.name == name


def test_resampling_keeps_the_field_in_place() -> None:
    optics = {"wavelength_m": LAMBDA, "semi_angle_rad": 1e-3, "defocus_m": 300e-6}
    coarse = electron_probe(64, pixel_size_m=2 * PIXEL, **optics)
    fine = electron_probe(128, pixel_size_m=PIXEL, **optics)
    assert alike(resample_probe(coarse, 128, scale=0.5), fine) > 0.999
    assert alike(resample_probe(fine, 64, scale=2.0), coarse) > 0.999
    same = resample_probe(np.concatenate([fine, 2 * fine]), 128, scale=1.0)
    assert same.shape == (2, 128, 128)
    assert alike(same[:1], fine) > 1 - 1e-6
    wider = resample_probe(fine, 192, scale=1.0)
    assert alike(wider[:, 32:-32, 32:-32], fine) > 1 - 1e-6


def test_resampling_by_nothing_is_refused() -> None:
    probe = pinhole_probe(32, wavelength_m=LAMBDA, pixel_size_m=PIXEL, diameter_m=2e-7)
    with pytest.raises(InvalidValueError) as caught:
        resample_probe(probe, 32, scale=0.0)
    assert caught.value.name == "scale"
