"""Files that other programs wrote themselves, read by `prepare` without the names of datasets."""

import os
from pathlib import Path

import numpy as np
import pytest
from ptycho_config.errors import PtychoError
from ptycho_data import load_scan
from ptycho_data.raw import Names, read_raw

RNG = np.random.default_rng(2)
COUNTS = RNG.poisson(6, (12, 16, 16)).astype(np.uint16)
ENERGY, DISTANCE, PIXEL = 9000.0, 2.0, 75e-6
WAVELENGTH = 1.2398419843320026e-6 / ENERGY


def test_a_cube_of_py4dstem():
    written = Path(os.environ["PTYCHO_WRITTEN"])
    counts = np.load(written / "counts.npy")
    raw = read_raw([written / "cube.h5"], Names(energy="300kV"))
    assert (raw.layout, raw.particle) == ("py4DSTEM EMD", "electron")
    np.testing.assert_array_equal(raw.frames[:], counts.reshape(12, 16, 18))
    y, x = np.divmod(np.arange(12), 4)
    np.testing.assert_allclose(raw.x_m, x * 5e-10)
    np.testing.assert_allclose(raw.y_m, y * 5e-10)
    assert raw.pixel_angle == pytest.approx((0.02e10 * 1.96874e-12,) * 2, rel=1e-5)


#: Directions of rows and of columns of the detector, as CXI has them by default, and others.
BASES = ([[0, -1, 0], [-1, 0, 0]], [[0, -1, 0], [1, 0, 0]], [[1, 0, 0], [0, -1, 0]])


@pytest.fixture(params=BASES, ids=str)
def by_cdtools(tmp_path, request):
    """A scan of cdtools: translations of the sample in metres, a mask of good pixels."""
    import torch
    from cdtools.datasets import Ptycho2DDataset

    good = np.ones((16, 16), bool)
    good[3, 4] = False
    places = np.concatenate([RNG.uniform(0, 3e-6, (12, 2)), np.zeros((12, 1))], axis=1)
    dataset = Ptycho2DDataset(
        torch.as_tensor(places),
        torch.as_tensor(COUNTS.astype(np.float32)),
        mask=torch.as_tensor(good),
        wavelength=WAVELENGTH,
        detector_geometry={
            "distance": DISTANCE,
            "basis": PIXEL * np.array(request.param, float).T,
            "corner": None,
        },
        entry_info={"title": "a scan"},
        sample_info={"name": "a sample"},
    )
    path = tmp_path / "scan.cxi"
    dataset.to_cxi(path)
    return path, good


@pytest.mark.filterwarnings("default")  # of a file without a probe
def test_a_scan_of_cdtools(by_cdtools):
    path, good = by_cdtools
    scan = load_scan(path, domain="counts")
    np.testing.assert_array_equal(scan.diffraction[:], COUNTS)
    np.testing.assert_array_equal(scan.bad_pixels, ~good)
    assert scan.photon_energy_ev == pytest.approx(ENERGY, rel=1e-6)
    raw = read_raw([path])
    np.testing.assert_array_equal(raw.frames[:], COUNTS)
    assert scan.pixel_size_m is not None
    for metres, pixels in ((raw.x_m, scan.xcoords), (raw.y_m, scan.ycoords)):
        shift = metres / scan.pixel_size_m - pixels
        np.testing.assert_allclose(shift, shift.mean(), atol=1e-3)
    assert raw.energy_ev == pytest.approx(ENERGY, rel=1e-6)
    assert raw.pixel_angle == pytest.approx((PIXEL / DISTANCE,) * 2)
    assert raw.mask is not None
    np.testing.assert_array_equal(raw.mask == 0 if raw.mask_is_good else raw.mask != 0, ~good)


def signal(values):
    """Return counts on a raster as RosettaSciIO has them."""
    steps = (("y", 0.5, "nm"), ("x", 0.5, "nm"), ("ky", 0.2, "mrad"), ("kx", 0.2, "mrad"))
    axes = [
        {
            "_type": "UniformDataAxis",
            "name": name,
            "size": size,
            "scale": step,
            "offset": 0.0,
            "units": unit,
            "navigate": number < 2,
            "index_in_array": number,
            "is_binned": False,
        }
        for number, (size, (name, step, unit)) in enumerate(zip(values.shape, steps, strict=True))
    ]
    return {
        "data": values,
        "axes": axes,
        "metadata": {
            "General": {"title": ""},
            "Signal": {"signal_type": ""},
            "Acquisition_instrument": {"TEM": {"beam_energy": 200.0}},
        },
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {},
        "tmp_parameters": {},
        "models": {},
        "package_info": {"package": "rosettasciio", "package_version": "0"},
    }


def test_a_file_of_hyperspy(tmp_path):
    from rsciio.hspy import file_writer

    path = tmp_path / "cube.hspy"
    file_writer(str(path), signal(COUNTS.reshape(3, 4, 16, 16)))
    raw = read_raw([path])
    np.testing.assert_array_equal(raw.frames[:], COUNTS)
    np.testing.assert_array_equal(raw.frames[[7, 0, 7]], COUNTS[[7, 0, 7]])
    y, x = np.divmod(np.arange(12), 4)
    np.testing.assert_allclose(raw.x_m, x * 5e-10)
    np.testing.assert_allclose(raw.y_m, y * 5e-10)
    assert (raw.energy_ev, raw.particle) == (2e5, "electron")
    assert raw.pixel_angle == pytest.approx((2e-4, 2e-4))


def merlin(path, frames):
    """Write frames as the Merlin detector does: a line of 384 bytes before each."""
    with path.open("wb") as file:
        for number, frame in enumerate(frames, 1):
            line = (
                f"MQ1,{number:06d},00384,01,{frame.shape[1]:04d},{frame.shape[0]:04d},U16,   1x1,"
                "01,2020-01-01 00:00:00.000000,0.001000,0,0,0,0,MQ1A,"
                "2020-01-01T00:00:00.000000000Z,1000000ns,12,"
            )
            file.write(line.encode().ljust(384) + frame.astype(">u2").tobytes())


def test_a_file_of_a_merlin_detector(tmp_path):
    merlin(tmp_path / "scan.mib", COUNTS)
    said = Names(energy="200kV", detector_pixel="1mrad", raster=(3, 4), step="1nm")
    raw = read_raw([tmp_path / "scan.mib"], said)
    np.testing.assert_array_equal(raw.frames[:], COUNTS[:, ::-1])  # upwards, says RosettaSciIO


@pytest.mark.parametrize("kept", [0, 100, 500])
@pytest.mark.parametrize("suffix", [".mib", ".hspy", ".dm4", ".xml", ".blo"])
def test_damaged_files_are_told_in_one_line(tmp_path, suffix, kept):
    path = tmp_path / f"scan{suffix}"
    if suffix == ".hspy":
        from rsciio.hspy import file_writer

        file_writer(str(path), signal(COUNTS.reshape(3, 4, 16, 16)))
    else:
        merlin(path, COUNTS)
    path.write_bytes(path.read_bytes()[:kept])
    said = Names(energy="200kV", detector_pixel="1mrad", raster=(3, 4), step="1nm")
    with pytest.raises(PtychoError) as caught:
        read_raw([path], said).frames[:]
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_a_gap_of_a_series_of_fabio(tmp_path):
    from fabio.edfimage import EdfImage

    for number in (8, 9, 11):
        EdfImage(data=COUNTS[number]).write(str(tmp_path / f"scan_{number}.edf"))
    said = Names(energy="9keV", distance="2m", detector_pixel="1um", raster=(1, 3), step="1um")
    raw = read_raw([tmp_path], said)
    np.testing.assert_array_equal(raw.frames[:], COUNTS[[8, 9, 11]])
    assert raw.cautions == ["scan_8.edf to scan_11.edf: 1 numbers are missing: 10"]
