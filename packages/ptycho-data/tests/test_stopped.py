"""A stopped acquisition: patterns are fewer than positions, in every format."""

import h5py
import numpy as np
import pytest
from ptycho_data import Scan, ScanFormatError, ScanFormatWarning, format_named, load_scan

N, PLANNED, TAKEN = 8, 12, 7
RNG = np.random.default_rng(4)
SCAN = Scan(
    diffraction=RNG.poisson(30, (PLANNED, N, N)).astype(np.uint16),
    xcoords=RNG.uniform(0, 40, PLANNED),
    ycoords=RNG.uniform(0, 40, PLANNED),
    probe=RNG.normal(size=(N, N)) + 1j,
    patches=(RNG.normal(size=(PLANNED, N, N)) + 1j).astype(np.complex64),
    scan_index=np.zeros(PLANNED, int),
    domain="counts",
    pixel_size_m=1e-8,
    photon_energy_ev=9000.0,
    detector_distance_m=1.0,
)


def check(path, **more):
    with pytest.warns(ScanFormatWarning, match=f"{PLANNED} positions and {TAKEN} patterns"):
        read = load_scan(path, **more)
    np.testing.assert_array_equal(read.diffraction, SCAN.diffraction[:TAKEN])
    np.testing.assert_allclose(read.positions, SCAN.positions[:TAKEN], atol=1e-9)
    return read


@pytest.mark.parametrize("order", ["patterns first", "patterns last"])
def test_npz(tmp_path, order):
    arrays = SCAN.arrays()
    arrays["diffraction"] = arrays["diffraction"][:TAKEN]
    if order == "patterns last":
        arrays["diffraction"] = np.moveaxis(arrays["diffraction"], 0, 2)
    np.savez(tmp_path / "a.npz", **arrays)
    read = check(tmp_path / "a.npz")
    np.testing.assert_array_equal(read.patches, SCAN.patches[:TAKEN])
    assert len(read.scan_index) == TAKEN


@pytest.mark.parametrize("numbered", [True, False])
def test_cxi(tmp_path, numbered):
    format_named("cxi").write(tmp_path / "a.cxi", SCAN, False)
    with h5py.File(tmp_path / "a.cxi", "a") as file:
        name = "entry_1/instrument_1/detector_1/data"
        values = file[name][:TAKEN]
        del file[name]
        file[name] = values
        if not numbered:
            del file["entry_1/ptychodus/probe_position_indexes"]
    check(tmp_path / "a.cxi")


def test_ptychodus(tmp_path):
    format_named("ptychodus").write(tmp_path / "a", SCAN, False)
    with h5py.File(tmp_path / "a" / "diffraction.h5", "a") as file:
        for name in ("patterns", "indexes"):
            values, attributes = file[name][:TAKEN], dict(file[name].attrs)
            del file[name]
            file[name] = values
            file[name].attrs.update(attributes)
    check(tmp_path / "a")


def test_fold_slice(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dp"] = SCAN.diffraction[:TAKEN]
        file["ppX"], file["ppY"] = SCAN.xcoords * 1e-8, SCAN.ycoords * 1e-8
        file["dx"] = 1e-8
    np.savez(tmp_path / "probe.npz", probe=SCAN.probe)
    check(tmp_path / "a.h5", probe_file=tmp_path / "probe.npz")


def test_fewer_positions_than_patterns_remain_an_error(tmp_path):
    arrays = SCAN.arrays()
    for key in ("xcoords", "ycoords"):
        arrays[key] = arrays[key][:TAKEN]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ScanFormatError, match=r"diffraction must be of shape \(7, N, N\)"):
        load_scan(tmp_path / "a.npz")
