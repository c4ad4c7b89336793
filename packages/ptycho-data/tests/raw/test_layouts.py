"""Files of known layouts are read without the name of any dataset."""

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_data import MissingScanError, ScanFormatError
from ptycho_data.raw import LAYOUTS, Names, read_raw
from ptycho_data.raw._layouts import FIELDS

_spec = importlib.util.spec_from_file_location(
    "layout_files", Path(__file__).with_name("layout_files.py")
)
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)


def read(writer, folder):
    paths, expected = writer(folder)
    return read_raw(paths, Names(**files.SAID.get(writer.__name__, {}))), expected


@pytest.mark.parametrize("writer", files.WRITERS, ids=lambda writer: writer.__name__)
def test_files_of_a_layout_are_read_without_names(writer, tmp_path):
    raw, expected = read(writer, tmp_path)
    assert raw.layout == expected.layout
    np.testing.assert_array_equal(raw.frames[:], expected.frames)
    if expected.x is not None:
        np.testing.assert_allclose(raw.x_m, expected.x, atol=1e-14)
        np.testing.assert_allclose(raw.y_m, expected.y, atol=1e-14)
    assert raw.energy_ev == pytest.approx(expected.energy, rel=1e-6)
    if expected.angle is None:
        assert raw.pixel_angle is None
    else:
        assert raw.pixel_angle == pytest.approx((expected.angle,) * 2, rel=1e-5)
    assert raw.beam_centre == expected.centre
    assert (raw.particle, raw.domain) == (expected.particle, expected.domain)
    if expected.bad is None:
        assert raw.mask is None
    else:
        marked = (raw.mask == 0) if raw.mask_is_good else (raw.mask != 0)
        np.testing.assert_array_equal(marked, np.asarray(expected.bad) != 0)


def test_every_layout_has_a_file(tmp_path):
    written = set()
    for writer in files.WRITERS:
        folder = tmp_path / writer.__name__
        folder.mkdir()
        written.add(writer(folder)[1].layout)
    assert written == {layout.title for layout in LAYOUTS if layout.name != "frames"}
    assert {name for layout in LAYOUTS for name in layout.where} <= set(FIELDS)


def test_a_data_file_that_is_missing_is_named(tmp_path):
    paths, _ = files.dectris(tmp_path)
    (tmp_path / "series_3_data_000002.h5").unlink()
    with pytest.raises(MissingScanError, match=r"series_3_data_000002\.h5"):
        read_raw(paths)


@pytest.mark.parametrize("kind", ["gone", "group"])
def test_a_data_file_without_frames_is_told(tmp_path, kind):
    paths, _ = files.dectris(tmp_path)
    with h5py.File(tmp_path / "series_3_data_000002.h5", "a") as file:
        del file["entry/data/data"]
        if kind == "group":
            file["entry/data/data/inside"] = 1.0
    with pytest.raises(ScanFormatError, match="data_000002 must be a dataset"):
        read_raw(paths)


def test_spatial_frequencies_of_pixels_are_read_in_any_spelling(tmp_path):
    paths, _ = files.py4dstem_older(tmp_path)
    for unit in ("1/nm", "nm^-1", "/nm"):
        with h5py.File(paths[0], "a") as file:
            axis = file["4DSTEM_experiment/data/datacubes/datacube_0/dim3"]
            axis[...] = np.arange(len(axis)) * 0.2
            axis.attrs["units"] = unit
        raw = read_raw(paths, Names(energy="300kV"))
        assert raw.pixel_angle == pytest.approx((0.2e9 * 1.96874e-12,) * 2, rel=1e-5)


def test_the_layout_of_frames_named_for_another_file_is_no_crash(tmp_path):
    paths, expected = files.ptylab(tmp_path)
    said = Names(layout="frames", patterns="ptychogram", x="encoder[:, 1]", y="encoder[:, 0]",
                 unit="m")  # fmt: skip
    np.testing.assert_array_equal(read_raw(paths, said).frames[:], expected.frames)


def test_links_that_leave_the_folder_need_permission(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file["data"] = files.FRAMES
    path = inner / "scan.h5"
    with h5py.File(path, "w") as file:
        entry = files._nexus(file)
        entry["data/data"] = h5py.ExternalLink("../far.h5", "/data")
        for name, values in (("samx", files.X), ("samy", files.Y)):
            entry[f"data/{name}"] = values
            entry[f"data/{name}"].attrs["units"] = "m"
    with pytest.raises(ValueError, match="only files in the same folder"):
        read_raw([path])
    raw = read_raw([path], within=tmp_path)
    np.testing.assert_array_equal(raw.frames, files.FRAMES)
    assert tmp_path / "far.h5" in {file.resolve() for file in raw.files}


def test_a_name_wins_over_the_layout(tmp_path):
    paths, _ = files.nxmx(tmp_path)
    with h5py.File(paths[0], "a") as file:
        file["other/x"] = np.arange(12.0)
    said = Names(x="other/x", y="entry/sample/transformations/samy", unit="nm", distance="1m")
    raw = read_raw(paths, said)
    np.testing.assert_allclose(raw.x_m, np.arange(12) * 1e-9)
    assert raw.distance_m == 1
    assert raw.energy_ev == pytest.approx(files.ENERGY)


def test_a_layout_can_be_named(tmp_path):
    paths, _ = files.ptylab(tmp_path)
    with pytest.raises(InvalidValueError, match=r"patterns must be in scan\.hdf5"):
        read_raw(paths, Names(layout="hxn"))


SAID = {"energy": "300kV", "detector_pixel": "0.5mrad", "raster": (4, 5), "step": "1nm"}


def test_the_only_stack_needs_no_name(tmp_path):
    frames = np.arange(4 * 5 * 8 * 8).reshape(4, 5, 8, 8)
    np.save(tmp_path / "frames.npy", frames)
    np.savez(tmp_path / "frames.npz", gain=np.ones((8, 8)), stack=frames)
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["scan/frames"], file["scan/sum"] = frames, np.ones((4, 5))
        file["scan/gone"] = h5py.SoftLink("/nowhere")
    for name in ("frames.npy", "frames.npz", "frames.h5"):
        raw = read_raw([tmp_path / name], Names(**SAID))
        np.testing.assert_array_equal(raw.frames[:], frames.reshape(20, 8, 8))
    with h5py.File(tmp_path / "frames.h5", "a") as file:
        file["scan/other"] = frames
    with pytest.raises(InvalidValueError, match=r"--patterns; there is .*scan/frames.*scan/other"):
        read_raw([tmp_path / "frames.h5"], Names(**SAID))


def test_a_cube_without_axes_is_known_by_its_calibration(tmp_path):
    paths, expected = files.py4dstem(tmp_path)
    with h5py.File(paths[0], "a") as file:
        for number in range(4):
            del file[f"datacube_root/datacube/dim{number}"]
    raw = read_raw(paths, Names(energy="300kV"))
    assert (raw.layout, raw.particle) == (expected.layout, "electron")
    np.testing.assert_allclose(raw.x_m, expected.x)
