import pytest
from ptycho_data._geometry import energy_ev, object_pixel, wavelength


def test_wavelength_of_ten_kev():
    # CODATA 2018: hc = 12398.419843320026 eV angstrom, exact to the digits given.
    assert wavelength(10_000) == pytest.approx(1.2398419843320026e-10, rel=1e-15)
    assert energy_ev(wavelength(8331.0)) == pytest.approx(8331.0, rel=1e-15)


def test_the_object_pixel_by_hand_and_its_inverse():
    # 1.2398 angstrom, 2 m, 256 pixels of 75 um: 1.2398e-10 * 2 / 0.0192 m.
    pixel = object_pixel(10_000, 2.0, 75e-6, 256)
    assert pixel == pytest.approx(1.2398419843320026e-10 * 2 / 0.0192)
    assert object_pixel(10_000, -2.0, 75e-6, 256) == pixel
    assert object_pixel(10_000, 2.0, pixel, 256) == pytest.approx(75e-6)
