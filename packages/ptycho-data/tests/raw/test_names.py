"""Any file, by the names of its datasets."""

import h5py
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_data import ScanFormatError
from ptycho_data.raw import Names, read_raw

FRAMES = np.random.default_rng(0).poisson(5, (12, 10, 14)).astype(np.uint16)
X, Y = np.arange(12.0), np.arange(12.0) ** 2
KNOWN = {"energy": "9keV", "distance": "2m", "detector_pixel": "50um"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "scan_7.h5"
    with h5py.File(path, "w") as target:
        target["a/frames"] = FRAMES
        target["a/fewer"] = FRAMES[:11]
        target["a/cube"] = FRAMES.reshape(3, 4, 10, 14)
        target["m/x"], target["m/y"] = X, Y
        target["m/x"].attrs["units"] = "mm"
        target["m/readings"] = np.stack([X - 0.5, X + 0.5], axis=1)
        target["m/both"] = np.stack([X, Y])
        target["energy"] = 9.0
        target["energy"].attrs["units"] = "keV"
        target["mask"] = np.eye(10, 14, dtype=np.uint8)
        target["complex"] = np.zeros((12, 10, 14), np.complex64)
        target["bits"] = FRAMES > 3
        target["darks"] = np.full((5, 10, 14), 3.0)
    return path


def read(file, **names):
    return read_raw([file], Names(**{"patterns": "/a/frames", "x": "m/x", "y": "m/y", "unit": "um"}
                                  | KNOWN | names))  # fmt: skip


def test_datasets_and_numbers_are_taken_by_name(file):
    raw = read(file, mask="mask", dark="darks")
    np.testing.assert_array_equal(raw.frames, FRAMES)
    np.testing.assert_allclose(raw.x_m, X * 1e-6)  # the given unit wins over the file's
    np.testing.assert_allclose(raw.y_m, Y * 1e-6)
    assert (raw.energy_ev, raw.distance_m) == (9000, 2)
    assert raw.pixel_angle == pytest.approx((25e-6, 25e-6))
    assert raw.mask.sum() == 10
    np.testing.assert_array_equal(raw.dark, np.full((10, 14), 3.0))
    assert raw.files == (file,)


def test_units_of_the_file_are_used_where_none_is_given(file):
    raw = read(file, unit=None, y="m/x", energy="energy")
    np.testing.assert_allclose(raw.y_m, X * 1e-3)
    assert raw.energy_ev == pytest.approx(9000)
    with pytest.raises(ScanFormatError, match=r"m/y must be in a known unit.*--unit"):
        read(file, unit=None)


def test_parts_of_datasets_and_readings_of_encoders(file):
    raw = read(file, x="m/both[0]", y="/m/both[1, :]")
    np.testing.assert_allclose(raw.y_m, Y * 1e-6)
    np.testing.assert_allclose(read(file, x="m/readings").x_m, X * 1e-6)
    np.testing.assert_allclose(read(file, x="m/readings[:, 1]").x_m, (X + 0.5) * 1e-6)
    with pytest.raises(ScanFormatError, match="indices fit"):
        read(file, x="m/both[7]")


def test_readings_stay_readings_where_frames_are_missing(file):
    raw = read(file, patterns="a/fewer", x="m/readings")
    np.testing.assert_allclose(raw.x_m, X * 1e-6)


def test_other_files_are_named_with_two_colons(file, tmp_path):
    np.savetxt(tmp_path / "scan_7_pos.csv", np.stack([X, Y], axis=1), delimiter=",")
    np.savez(tmp_path / "more.npz", good=np.ones((10, 14)))
    raw = read(
        file, x="{stem}_pos.csv::0", y=f"{tmp_path}/scan_7_pos.csv::1", mask="more.npz::good"
    )
    np.testing.assert_allclose(raw.y_m, Y * 1e-6)
    assert raw.mask.all()
    assert {path.name for path in raw.files} == {"scan_7.h5", "scan_7_pos.csv", "more.npz"}
    names = Names(patterns="a/frames", x="0", y="1", unit="m", **KNOWN)
    raw = read_raw([file, tmp_path / "scan_7_pos.csv"], names)
    np.testing.assert_allclose(raw.x_m, X)


def test_rasters(file):
    raw = read(file, patterns="a/cube", x=None, y=None, step="30nm,40nm")
    np.testing.assert_array_equal(raw.frames, FRAMES)
    np.testing.assert_allclose(raw.x_m[:5], np.array([0, 1, 2, 3, 0]) * 30e-9)
    np.testing.assert_allclose(raw.y_m[:5], np.array([0, 0, 0, 0, 1]) * 40e-9)
    raw = read(file, x=None, y=None, step="30nm", raster=(4, 3), snake=True)
    np.testing.assert_allclose(raw.x_m[:6], np.array([0, 1, 2, 2, 1, 0]) * 30e-9)
    with pytest.raises(InvalidValueError, match="raster must be of 12 positions"):
        read(file, x=None, y=None, step="30nm", raster=(2, 3))
    with pytest.raises(InvalidValueError, match="ROWSxCOLUMNS"):
        read(file, x=None, y=None, step="30nm")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ({"patterns": "a/none"}, r"patterns must be a dataset of scan_7.h5, got a/none; there is "),
        ({"x": "gone.h5::x"}, "no such file"),
        ({"y": None}, "x and y must be given together"),
        ({"mask": "m/x"}, r"m/x must be a mask of shape"),
        ({"x": "mask"}, "must be as many"),
        ({"energy": "-1"}, "energy must be a number from "),
        ({"energy": "3 apples"}, "energy must be in a unit of energy"),
        ({"unit": "foot"}, "unit must be a unit of length"),
        ({"patterns": "m/x"}, "a stack of three axes"),
        ({"patterns": "complex"}, "complex must be plain numbers, got complex64"),
        ({"patterns": "bits"}, "bits must be plain numbers, got bool"),
        ({"layout": "none"}, "layout must be one of"),
        ({"particle": "muon"}, "particle must be photon or electron"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(file, names, found):
    with pytest.raises((InvalidValueError, ScanFormatError), match=found) as caught:
        read(file, **names)
    assert "\n" not in str(caught.value)


def test_a_file_without_a_known_layout_lists_what_it_has(file):
    with pytest.raises(InvalidValueError, match=r"--patterns; there is a/cube \(3, 4, 10, 14\)"):
        read_raw([file])


def test_positions_that_are_not_known_are_asked_for(file):
    with pytest.raises(InvalidValueError, match=r"--x and --y .*--raster ROWSxCOLUMNS --step 30nm"):
        read_raw([file], Names(patterns="a/frames", layout="nanomax"))
