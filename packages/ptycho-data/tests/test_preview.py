import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ptycho_data import (
    MissingScanError,
    ScanFormatError,
    load_scan,
    probe_size,
    save_scan,
    stated_photons,
)
from ptycho_data._npz import Archive


@pytest.fixture
def scan_file(tmp_path, contract_arrays):
    def write(**changes):
        arrays = {**contract_arrays(), **changes}
        path = tmp_path / "scan.npz"
        np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
        return path

    return write


@pytest.fixture
def huge(tmp_path):
    """A scan whose patterns take ten gigabytes on paper, and none on the disk."""
    path = tmp_path / "huge.npz"
    shape = (10 * 2**30 // (128 * 128 * 4), 128, 128)
    big = zipfile.ZipInfo("diffraction.npy")
    big.CRC = big.header_offset = 0  # the checksum matters to those only who read all of it
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        # The local header is as long whatever the sizes in it are.
        start = len(big.FileHeader(zip64=True))
        file.seek(start)
        np.lib.format.write_array_header_1_0(file, header)
        big.file_size = big.compress_size = file.tell() - start + 10 * 2**30
        file.seek(0)
        file.write(big.FileHeader(zip64=True))
        file.truncate(start + big.file_size)
    with zipfile.ZipFile(path, "a") as archive:
        archive.filelist.append(big)
        archive.NameToInfo[big.filename] = big
        for name, array in {
            "probeGuess": np.ones((2, 128, 128), np.complex64),
            "nphotons": np.array(2e5),
        }.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array)
    return path


@pytest.fixture
def bytes_read(monkeypatch):
    """Count the bytes that binary files opened by their path read."""
    found, plain = [], Path.open

    class Counting(io.FileIO):
        def readinto(self, buffer):
            found.append(super().readinto(buffer))
            return found[-1]

        def readall(self):
            data = super().readall()
            found.append(len(data))
            return data

    def counted(path, mode="r", *args, **options):
        if mode == "rb":
            return io.BufferedReader(Counting(path))
        return plain(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", counted)
    return found


def test_of_ten_gigabytes_only_headers_are_read(huge, bytes_read):
    assert huge.stat().st_size > 10 * 2**30
    with Archive(huge) as archive:
        assert archive.header("diffraction").nbytes == 10 * 2**30
    assert probe_size(huge) == 128
    assert stated_photons(huge) == 2e5
    assert 0 < sum(bytes_read) < 2 * 128 * 128 * 8  # less than the probe alone


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8), (8, 8, 1), (8, 8, 8)])
def test_size_of_every_form_of_probe(scan_file, shape):
    path = scan_file(probeGuess=np.ones(shape, np.complex64))
    assert probe_size(path) == 8 == load_scan(path).N


@pytest.mark.parametrize(
    "probe", [np.ones((8, 8)), np.ones((8, 9), complex), np.ones(8, complex), np.ones((0, 0), "c8")]
)
def test_what_is_no_probe_is_described(scan_file, probe):
    with pytest.raises(ScanFormatError, match=r"probeGuess must be complex \(N, N\) .*, got "):
        probe_size(scan_file(probeGuess=probe))


def test_a_missing_probe_and_a_missing_file(scan_file, tmp_path):
    assert probe_size(scan_file(probeGuess=None)) == load_scan(scan_file()).N
    with pytest.raises(ScanFormatError, match=r"probeGuess must .* no such array"):
        probe_size(scan_file(probeGuess=None, diffraction=None))
    for look in (probe_size, stated_photons):
        with pytest.raises(MissingScanError, match=r"none\.npz must .*no such file"):
            look(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("changes", "photons"),
    [
        ({"nphotons": None}, None),
        ({"nphotons": np.array(3e4)}, 3e4),
        ({"nphotons": np.array([7])}, 7.0),
        ({"nphotons": None, "_metadata": json.dumps({"nphotons": 5e4})}, 5e4),
        (
            {"nphotons": None, "_metadata": json.dumps({"physics_parameters": {"nphotons": 6e4}})},
            6e4,
        ),
        ({"nphotons": np.array(3e4), "_metadata": json.dumps({"nphotons": 5e4})}, 3e4),
    ],
)
def test_photons_as_loading_the_scan_finds_them(scan_file, changes, photons):
    path = scan_file(**changes)
    assert stated_photons(path) == load_scan(path).nphotons == photons


@pytest.mark.parametrize("nphotons", [np.array(-1.0), np.ones(3), np.array("many")])
def test_impossible_photons_are_refused_as_loading_does(scan_file, nphotons):
    path = scan_file(nphotons=nphotons)
    for look in (stated_photons, load_scan):
        with pytest.raises(ScanFormatError, match="nphotons must be"):
            look(path)


def test_a_written_scan_can_be_previewed(scan_file, tmp_path):
    scan = load_scan(scan_file())
    save_scan(tmp_path / "again.npz", scan)
    assert probe_size(tmp_path / "again.npz") == scan.N
    assert stated_photons(tmp_path / "again.npz") == scan.nphotons
