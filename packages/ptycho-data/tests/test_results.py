"""The files of a reconstruction."""

import json
import shutil
import struct
import sys
from contextlib import contextmanager

import attrs
import h5py
import numpy as np
import pytest
from ptycho_config.errors import MissingPackageError
from ptycho_data import NoSpaceError, OutputExistsError, load_object, load_reconstruction
from ptycho_data._reconstruction import Reconstruction
from ptycho_data._results import (
    PICTURE_FILES,
    RESULT_FILES,
    save_product,
    write_pictures,
    write_results,
)
from ptycho_data.views import ScannedArea


@pytest.fixture
def rec():
    y, x = np.mgrid[:30, :48]
    coverage = np.ones((30, 48), np.float32)
    coverage[:, 40:] = 0
    return Reconstruction(
        object=((1 + 0.2 * np.sin(x / 5)) * np.exp(0.5j * np.cos(y / 4))).astype(np.complex64),
        coverage=coverage,
        xcoords=np.array([10.0, 20.5]),
        ycoords=np.array([9.0, 12.25]),
        indices=np.array([0, 3]),
        probe=np.full((1, 8, 8), 0.1j, np.complex64),
        origin=np.array([5, -3]),
        pixel_size_m=1e-8,
    )


def png_size(path):
    return struct.unpack(">II", path.read_bytes()[16:24])


def test_all_files_are_written(rec, tmp_path):
    folder = tmp_path / "new" / "folder"
    rec = attrs.evolve(rec, nphotons=1e6)
    write_results(folder, rec, metrics={"r_factor": 0.1, "psnr": np.inf})
    assert {path.name for path in folder.iterdir()} == set(RESULT_FILES)
    back = load_reconstruction(folder / "reconstruction.npz")
    np.testing.assert_array_equal(back.object, rec.object)
    assert back.pixel_size_m == 1e-8
    with h5py.File(folder / "product.h5") as file:
        assert file.attrs["probe_photon_count"] == 1e6
    assert json.loads((folder / "metrics.json").read_text()) == {"r_factor": 0.1, "psnr": None}


def test_standard_errors_are_in_both_files(rec, tmp_path):
    error = np.full(rec.object.shape, 0.5, np.float32)
    error[0, 0] = np.nan
    rec = attrs.evolve(rec, amplitude_error=error / 2, phase_error=error)
    write_results(tmp_path, rec, metrics={}, pictures=False)
    np.testing.assert_array_equal(load_reconstruction(tmp_path).phase_error, error)
    with h5py.File(tmp_path / "product.h5") as file:
        np.testing.assert_array_equal(file["object_phase_error"], error)
        np.testing.assert_array_equal(file["object_amplitude_error"], error / 2)
    # whoever reads the object of the product is not disturbed
    np.testing.assert_array_equal(load_object(tmp_path / "product.h5").values, rec.object)


def test_programs_for_nexus_find_the_object_as_default_plot(rec, tmp_path):
    """By the chain of `default` from the root, as silx follows it."""
    save_product(tmp_path / "product.h5", attrs.evolve(rec, origin_m=(5e-6, 0.0)))
    with h5py.File(tmp_path / "product.h5") as file:
        view = file
        while np.bytes_(view.attrs["NX_class"]) != b"NXdata":
            view = view[view.attrs["default"]]
        signal = view[view.attrs["signal"]]
        np.testing.assert_array_equal(signal[0], rec.object)
        assert [axis.decode() for axis in view.attrs["axes"]] == [".", "y", "x"]
        assert view["x"].attrs["units"].decode() == "nm"
        assert view["x"].shape == (48,)
        # pixel 5 of the grid, at 10 nm, lies 50 nm to the right of the origin on the stage
        assert view["x"][0] == pytest.approx(5050)
        assert view["y"][:2] == pytest.approx([-30, -20])


def test_photons_may_be_unknown(rec, tmp_path):
    write_results(str(tmp_path), rec, metrics={})
    with h5py.File(tmp_path / "product.h5") as file:
        assert file.attrs["probe_photon_count"] == 0


@pytest.mark.parametrize("name", RESULT_FILES)
def test_one_file_in_the_way_keeps_all_from_being_written(rec, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputExistsError, match=name):
        write_results(tmp_path, rec, metrics={})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_overwrite_replaces_every_file(rec, tmp_path):
    for name in RESULT_FILES:
        (tmp_path / name).write_text("old")
    write_results(tmp_path, rec, metrics={}, overwrite=True)
    assert all((tmp_path / name).read_bytes() != b"old" for name in RESULT_FILES)


@contextmanager
def small_files(most):
    """Limit the size of files, as a disk that becomes full does."""
    resource = pytest.importorskip("resource")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@pytest.mark.parametrize("most", [1000, 20_000, 30_000])
def test_a_disk_that_becomes_full_leaves_the_old_result(rec, tmp_path, most):
    write_results(tmp_path, rec, metrics={"k": "old"})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(NoSpaceError) as caught, small_files(most):
        write_results(tmp_path, rec, metrics={"k": "new" * 20_000}, overwrite=True)
    assert caught.value.path.parent == tmp_path
    assert caught.value.path.name in RESULT_FILES
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    load_reconstruction(tmp_path)


def test_results_without_room_are_refused_before_any_is_written(rec, tmp_path, monkeypatch):
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(NoSpaceError, match=r"needs about 4\.\d MB, and the disk has 1 kB free"):
        write_results(tmp_path / "r", rec, metrics={})
    assert not list(tmp_path.iterdir())


def test_stages_enclose_their_part(rec, tmp_path):
    seen = {}

    @contextmanager
    def stage(name):
        before = {path.name for path in tmp_path.glob(".ptycho-*/*")}
        yield
        seen[name] = {path.name for path in tmp_path.glob(".ptycho-*/*")} - before

    write_results(tmp_path, rec, metrics={}, stage=stage)
    assert seen == {
        "write": set(RESULT_FILES) - {*PICTURE_FILES, "SHA256SUMS"},
        "pictures": set(PICTURE_FILES),
    }


def test_pictures_show_the_frame_of_the_scan(rec, tmp_path):
    """Whatever of it was covered; the page follows its shape."""
    narrow = attrs.evolve(rec, coverage=rec.coverage * (np.arange(48) < 15))
    tall = ScannedArea.of(np.array([[15.0, 0.0], [20.0, 25.0]]), 8)
    write_pictures(tmp_path / "part", rec)
    write_pictures(tmp_path / "narrow", narrow)
    write_pictures(tmp_path / "tall", rec, area=tall)
    for name in PICTURE_FILES:
        part, narrow_one, tall_one = (
            png_size(tmp_path / folder / name) for folder in ("part", "narrow", "tall")
        )
        assert part == narrow_one
        assert tall_one[1] / tall_one[0] > 1.5 * part[1] / part[0]
    with pytest.raises(OutputExistsError):
        write_pictures(tmp_path / "part", rec)


def test_without_matplotlib_nothing_is_written(rec, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match="pip install"):
        write_results(tmp_path / "new", rec, metrics={})
    assert not (tmp_path / "new").exists()
