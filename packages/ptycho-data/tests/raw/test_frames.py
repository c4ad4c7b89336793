"""Files that hold frames alone: TIFF, EDF, CBF, EMPAD, in series and in folders."""

import pickle
import struct
import sys

import numpy as np
import pytest
from fabio.cbfimage import CbfImage
from fabio.edfimage import EdfImage
from fabio.tifimage import TifImage
from PIL import Image
from ptycho_config.errors import MissingPackageError
from ptycho_data import MissingScanError, ScanFormatError
from ptycho_data.raw import Names, read_raw

RNG = np.random.default_rng(1)
FRAMES = RNG.poisson(5, (12, 16, 20)).astype(np.uint16)
SAID = {"energy": "9keV", "distance": "2m", "detector_pixel": "50um", "raster": (3, 4),
        "step": "1um"}  # fmt: skip
PILATUS = """# Pixel_size 172e-6 m x 86e-6 m
# Wavelength 1.3 A
# Detector_distance 2.5 m
# Beam_xy (9.00, 7.00) pixels"""


def write_tiff(path, frame):
    TifImage(data=frame).write(path)


def write_edf(path, frame):
    EdfImage(data=frame).write(path)


def write_cbf(path, frame):
    CbfImage(data=frame.astype(np.int32)).write(path)


WRITERS = {"tif": write_tiff, "edf": write_edf, "cbf": write_cbf}


def series(folder, suffix, numbers=range(12), name="scan_7_{}"):
    """One file for each frame, with numbers that are not sorted as text."""
    paths = []
    for frame, number in zip(FRAMES, numbers, strict=False):
        paths.append(folder / f"{name.format(number)}.{suffix}")
        WRITERS[suffix](str(paths[-1]), frame)
    return paths


def read(*paths, **names):
    return read_raw(list(paths), Names(**SAID | names))


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_series_is_read_in_the_order_of_its_numbers(tmp_path, suffix):
    paths = series(tmp_path, suffix)
    for given in (sorted(paths), [tmp_path]):
        raw = read(*given)
        np.testing.assert_array_equal(raw.frames[:], FRAMES)
        np.testing.assert_array_equal(raw.frames[[11, 2, 2]], FRAMES[[11, 2, 2]])
        assert raw.layout == "TIFF, EDF and CBF files"
        assert set(raw.files) == set(paths)
        assert not raw.cautions
    again = pickle.loads(pickle.dumps(raw.frames))  # noqa: S301 - our own
    np.testing.assert_array_equal(again[3], FRAMES[3])


def test_several_frames_in_a_file(tmp_path):
    many = EdfImage(data=FRAMES[0])
    for frame in FRAMES[1:]:
        many.append_frame(data=frame)
    many.write(str(tmp_path / "scan.edf"))
    np.testing.assert_array_equal(read(tmp_path / "scan.edf").frames[:], FRAMES)
    images = [Image.fromarray(frame) for frame in FRAMES]
    images[0].save(tmp_path / "scan_1.tif", save_all=True, append_images=images[1:7])
    images[7].save(tmp_path / "scan_2.tif", save_all=True, append_images=images[8:])
    raw = read(tmp_path / "scan_1.tif", tmp_path / "scan_2.tif")
    np.testing.assert_array_equal(raw.frames[:], FRAMES)


def test_numbers_that_are_missing_are_told(tmp_path):
    series(tmp_path, "tif", [1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 14])
    (caution,) = read(tmp_path).cautions
    assert caution == "scan_7_1.tif to scan_7_14.tif: 2 numbers are missing: 4, 7"


def test_times_in_names_are_no_list_of_what_is_missing(tmp_path):
    series(tmp_path, "tif", [*range(11), 10**18])
    (caution,) = read(tmp_path).cautions
    assert caution.endswith(f"{10**18 - 11} numbers are missing: 11, 12, 13, 14, 15, ...")


def test_files_of_another_kind_in_a_folder_are_told(tmp_path):
    series(tmp_path, "tif")
    write_tiff(str(tmp_path / "dark.tif"), FRAMES[0])
    with pytest.raises(ScanFormatError, match=r"numbers alone, got 12 scan_\*_\*.tif, 1 dark.tif"):
        read(tmp_path)


def test_a_frame_of_another_size_is_told(tmp_path):
    paths = series(tmp_path, "edf")
    write_edf(str(paths[6]), FRAMES[6, :8])
    raw = read(tmp_path)
    with pytest.raises(ScanFormatError, match="1 frames of 16 x 20, as the first file, got 1 of 8"):
        raw.frames[:]


def test_a_file_that_changes_or_goes_is_told(tmp_path):
    paths = series(tmp_path, "edf")
    raw = read(tmp_path)
    write_edf(str(paths[6]), FRAMES[7])
    with pytest.raises(ScanFormatError, match="a file that changed"):
        raw.frames[:]
    with pytest.raises(MissingScanError, match="no such file"):
        read(tmp_path / "scan_9.tif")


def test_a_folder_has_frames_or_one_master_file(tmp_path):
    with pytest.raises(ScanFormatError, match="0 master files and no files of frames"):
        read(tmp_path)


def test_headers_of_detectors_state_the_experiment(tmp_path):
    cbf = CbfImage(data=FRAMES[0].astype(np.int32))
    cbf.write(str(tmp_path / "a.cbf"))
    whole = (tmp_path / "a.cbf").read_bytes()
    head = f"_array_data.header_contents\r\n;\r\n{PILATUS}\r\n;\r\n\r\n".replace("\n#", "\r\n#")
    section = whole.index(b"_array_data.data")
    (tmp_path / "a.cbf").write_bytes(whole[:section] + head.encode() + whole[section:])
    said = {"energy": None, "distance": None, "detector_pixel": None, "raster": (1, 1)}
    raw = read(tmp_path / "a.cbf", **said)
    assert raw.distance_m == 2.5
    assert raw.detector_pixel_m == pytest.approx((86e-6, 172e-6))
    assert raw.energy_ev == pytest.approx(12398.4198 / 1.3)
    assert raw.beam_centre == (7, 9)
    header = {"SampleDistance": "2.25", "PSize_1": "5e-05", "WaveLength": "1e-10"}
    EdfImage(data=FRAMES[0], header=header).write(str(tmp_path / "a.edf"))
    raw = read(tmp_path / "a.edf", **said)
    assert (raw.distance_m, raw.detector_pixel_m) == (2.25, (5e-5, 5e-5))
    header = {"SampleDistance": "225 cm", "PSize_1": "50 um", "PSize_2": "70_um"}
    EdfImage(data=FRAMES[0], header=header).write(str(tmp_path / "a.edf"))
    raw = read(tmp_path / "a.edf", **said)
    assert (raw.distance_m, raw.detector_pixel_m) == (2.25, pytest.approx((7e-5, 5e-5)))


def test_dark_frame_and_mask_may_be_images(tmp_path):
    np.save(tmp_path / "frames.npy", FRAMES)
    write_edf(str(tmp_path / "dark.edf"), FRAMES[0])
    write_tiff(str(tmp_path / "mask.tif"), (FRAMES[1] > 8).astype(np.uint8))
    raw = read(tmp_path / "frames.npy", patterns="frames.npy", dark="dark.edf", mask="mask.tif")
    np.testing.assert_array_equal(raw.dark, FRAMES[0])
    np.testing.assert_array_equal(raw.mask, FRAMES[1] > 8)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("kept", [0, 3, 300, 0.5, -100])
def test_damaged_files_are_told(tmp_path, suffix, kept):
    (path,) = series(tmp_path, suffix, range(1))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if 0 < kept < 1 else kept])
    with pytest.raises(ScanFormatError, match="TIFF, EDF and CBF files") as caught:
        read(path, raster=(1, 1)).frames[:]
    assert "\n" not in str(caught.value)


def test_directories_in_a_circle_come_to_an_end(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(struct.pack("<2sHLHL", b"II", 42, 8, 0, 8))
    with pytest.raises(ScanFormatError, match="in a circle"):
        read(path)


def test_frames_of_empad(tmp_path):
    stored = RNG.poisson(9, (12, 130, 128)).astype(np.float32)
    path = tmp_path / "scan_x4_y3.raw"
    stored.tofile(path)
    said = {"raster": None, "detector_pixel": "1mrad", "distance": None, "energy": "300kV"}
    raw = read(path, **said)
    np.testing.assert_array_equal(raw.frames[:], stored[:, :128])
    assert raw.particle == "electron"
    assert raw.places["positions"] == "raster of 3 x 4"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ScanFormatError, match="none of frames of 130 x 128"):
        read(path, **said)


@pytest.mark.parametrize(
    ("name", "package", "module"),
    [("a.mib", "rosettasciio", "rsciio"), ("a.edf", "fabio", "fabio")],
)
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, name, package, module):
    (tmp_path / name).write_bytes(b"something")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError, match=f"pip install {package}"):
        read(tmp_path / name)
