import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_data.raw import _quantities as q


@pytest.mark.parametrize(
    ("text", "metres"),
    [("75um", 75e-6), ("2.2", 2.2), ("30 nm", 3e-8), ("1e-3m", 1e-3), ("5µm", 5e-6)],
)
def test_lengths_have_units(text, metres):
    assert q.is_quantity(text)
    assert q.length("distance", text) == pytest.approx(metres)


@pytest.mark.parametrize(("text", "ev"), [("8.8keV", 8800), ("300kV", 3e5), ("1e4", 1e4)])
def test_energies_have_units(text, ev):
    assert q.energy("energy", text) == pytest.approx(ev)


def test_steps_may_differ_along_x_and_y():
    assert q.lengths("step", "30nm") == pytest.approx((3e-8, 3e-8))
    assert q.lengths("step", "30nm,0.04um") == pytest.approx((3e-8, 4e-8))
    with pytest.raises(InvalidValueError, match="one length, or two"):
        q.lengths("step", "1,2,3")


def test_angles_of_pixels():
    assert q.angle("0.5mrad", None) == pytest.approx(5e-4)
    assert q.angle("0.02/A", 2e-12) == pytest.approx(4e-4)
    assert q.angle("0.02 1/nm", 2e-12) == pytest.approx(4e-5)
    assert q.angle("0.02/A", None) is None
    assert q.angle("75um", 1e-10) is None


@pytest.mark.parametrize("text", ["/entry/data", "entry/data/x", "pos.csv::0", "a1", ""])
def test_names_are_no_quantities(text):
    assert not q.is_quantity(text)


@pytest.mark.parametrize("text", ["3 furlongs", "eight", "1e999m"])
def test_what_is_no_length_is_told(text):
    with pytest.raises(InvalidValueError, match=r"^distance must be "):
        q.length("distance", text)
