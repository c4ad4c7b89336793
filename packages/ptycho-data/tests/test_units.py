import math

import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_data.units import energy_ev, ev_per, metres_per, object_pixel, wavelength


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


@pytest.mark.parametrize(
    ("volts", "picometres"),
    # Kirkland, Advanced Computing in Electron Microscopy, table of wavelengths, to five digits.
    [(80e3, 4.1757), (100e3, 3.7014), (200e3, 2.5079), (300e3, 1.9687)],
)
def test_electrons_have_the_relativistic_wavelength(volts, picometres):
    length = wavelength(volts, "electron")
    assert length == pytest.approx(picometres * 1e-12, rel=3e-5)
    assert energy_ev(length, "electron") == pytest.approx(volts, rel=1e-12)


def test_the_object_pixel_of_electrons():
    # 2.5079 pm * 0.3 m / (128 * 50 um)
    pixel = object_pixel(200e3, 0.3, 50e-6, 128, "electron")
    assert pixel == pytest.approx(2.5079e-12 * 0.3 / (128 * 50e-6), rel=3e-5)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("m", 1), ("mm", 1e-3), ("um", 1e-6), ("µm", 1e-6), ("μm", 1e-6), ("nm", 1e-9),
     ("Angstrom", 1e-10), ("Å", 1e-10), ("pm", 1e-12), ("cm", 1e-2)],
)  # fmt: skip
def test_units_of_length(unit, factor):
    assert metres_per(unit) == factor


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("eV", 1), ("keV", 1e3), ("KEV", 1e3), ("GeV", 1e9), ("J", 1 / 1.602176634e-19), ("kV", 1e3)],
)
def test_units_of_energy(unit, factor):
    assert ev_per(unit) == pytest.approx(factor, rel=1e-15)


@pytest.mark.parametrize(
    ("convert", "unit"), [(metres_per, "furlong"), (ev_per, "m"), (ev_per, "meV"), (metres_per, "")]
)
def test_an_unknown_unit_is_refused_by_name(convert, unit):
    with pytest.raises(InvalidValueError, match=f"'{unit}'|meV"):
        convert(unit)


@pytest.mark.parametrize("particle", ["photon", "electron"])
def test_absurd_wavelengths_raise_nothing(particle):
    assert not math.isfinite(energy_ev(5e-324, particle))
    assert energy_ev(1e300, particle) < 1e-300
