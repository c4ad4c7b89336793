"""Formats of other packages, found by the entry points of the group ``ptycho.formats``."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_data import (
    ScanFormatWarning,
    format_named,
    format_of,
    formats,
    known_formats,
    load_scan,
)
from ptycho_data.formats import FORMATS
from ptycho_data.raw import Names, read_raw
from ptycho_data.units import object_pixel

EXAMPLE = Path(__file__).parents[1] / "examples" / "beamline_format.py"
FRAMES_EXAMPLE = EXAMPLE.with_name("frames_format.py")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a module with its entry points as a distribution would be, for one test."""

    def add(name: str, entry: str, module: Path) -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[ptycho.formats]\n{name} = {entry}\n")
        shutil.copy(module, tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        formats._added.cache_clear()

    yield add
    formats._added.cache_clear()


@pytest.fixture
def beamline_file(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        file["scan/frames"] = rng.poisson(5, (20, 16, 16)).astype(np.uint16)
        file["scan/x_um"], file["scan/y_um"] = rng.uniform(0, 3, (2, 20))
        file["scan/energy_keV"], file["scan/distance_m"] = 9.0, 2.0
    return path


def test_the_example_reads_a_scan(install, beamline_file):
    install("beamline", "beamline_format:FORMAT", EXAMPLE)
    with pytest.warns(ScanFormatWarning, match="no probe in the file"):
        scan = load_scan(beamline_file)
    assert format_of(beamline_file).name == "beamline"
    assert format_named("beamline") in known_formats()
    assert scan.pixel_size_m == pytest.approx(object_pixel(9000.0, 2.0, 75e-6, 16))
    with h5py.File(beamline_file) as file:
        x_m = file["scan/x_um"][()] * 1e-6
        np.testing.assert_array_equal(scan.diffraction[:], file["scan/frames"][()])
    np.testing.assert_allclose(scan.xcoords, x_m / scan.pixel_size_m)


def test_the_example_of_frames_is_read_alone_and_in_series(install, tmp_path):
    install("counter", "frames_format:FORMAT", FRAMES_EXAMPLE)
    frames = np.random.default_rng(0).poisson(5, (12, 16, 18)).astype("<u2")
    for number, part in ((9, frames[:5]), (10, frames[5:])):
        header = np.array([*part.shape], "<u4").tobytes() + np.array(2500, "<f4").tobytes()
        (tmp_path / f"run_{number}.cnt").write_bytes(header + part.tobytes())
    paths = [tmp_path / "run_10.cnt", tmp_path / "run_9.cnt"]
    raw = read_raw(paths, Names(energy="9keV", detector_pixel="1um", raster=(3, 4), step="1um"))
    np.testing.assert_array_equal(raw.frames[:], frames)
    assert (raw.layout, raw.distance_m) == ("files of our counting detector", 2.5)
    assert known_formats() == FORMATS


def test_without_the_package_the_format_is_unknown():
    assert known_formats() == FORMATS
    with pytest.raises(InvalidValueError) as caught:
        format_named("beamline")
    assert caught.value.name == "format"


@pytest.mark.parametrize("entry", ["absent_module:FORMAT", "broken:NOTHING", "broken:TEXT"])
def test_a_broken_package_is_left_out_with_a_warning(install, tmp_path, entry):
    module = tmp_path / "source" / "broken.py"
    module.parent.mkdir()
    module.write_text('TEXT = "no format"\n')
    install("broken", entry, module)
    with pytest.warns(ScanFormatWarning, match="broken"):
        assert known_formats() == FORMATS
