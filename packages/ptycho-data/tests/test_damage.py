"""A flipped bit anywhere in a file that was written gives the right scan or a clean error."""

import warnings

import h5py
import numpy as np
import pytest
from ptycho_config.errors import PtychoError
from ptycho_data import (
    Scan,
    ScanFormatError,
    format_named,
    load_reconstruction,
    load_scan,
    protection,
    save_reconstruction,
    save_scan,
)
from ptycho_data._npz import Archive
from ptycho_data._protected import chunk_shape, put, put_text, write_hdf5
from ptycho_data._reconstruction import Reconstruction

PLACES = 200
#: Bytes at both ends of a file, where headers and directories lie: half of the flips are there.
ENDS = 4000


@pytest.fixture(scope="module")
def scan():
    rng = np.random.default_rng(0)
    x, y = np.divmod(np.arange(60.0), 8)
    return Scan(
        diffraction=rng.poisson(3, (60, 8, 8)).astype(np.uint16),
        xcoords=3 * x + 0.25, ycoords=3 * y,
        probe=(rng.normal(size=(2, 8, 8)) + 1j).astype(np.complex64),
        object_guess=(rng.normal(size=(40, 40)) + 1j).astype(np.complex64),
        bad_pixels=np.eye(8, dtype=bool),
        domain="counts", pixel_size_m=1e-8, photon_energy_ev=8000.0, detector_distance_m=1.0,
        origin_m=(1e-6, 2e-6),
    )  # fmt: skip


def _content(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = load_scan(path)
    arrays = {key: np.asarray(value) for key, value in read.arrays().items()}
    arrays = {key: (value.dtype, value.shape, value.tobytes()) for key, value in arrays.items()}
    return arrays, read.experiment(), read.domain, read.nphotons, read.pixel_size_m


def _result(path):
    rec = load_reconstruction(path)
    arrays = (rec.object, rec.coverage, rec.probe, rec.positions)
    return [array.tobytes() for array in arrays], rec.pixel_size_m, rec.origin_m


FORMATS = {
    "npz": ("npz", "scan.npz", "scan.npz"),
    "cxi": ("cxi", "scan.cxi", "scan.cxi"),
    "patterns": ("ptychodus", "scan/diffraction.h5", "scan"),
    "product": ("ptychodus", "scan/product.h5", "scan"),
}


def flip_bits(path, read, seed):
    """Read a file with one bit flipped, many times; return how often it was refused."""
    raw, good, refused = path.read_bytes(), read(), 0
    rng = np.random.default_rng(seed)
    for count in range(PLACES):
        place = int(rng.integers(len(raw)))
        if count % 2:
            place %= min(ENDS, len(raw))
            place = place if count % 4 == 1 else len(raw) - 1 - place
        damaged = bytearray(raw)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert read() == good, f"bit of byte {place} of {len(raw)}"
        except PtychoError:
            refused += 1
    path.write_bytes(raw)
    assert read() == good
    return refused


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_flipped_bits_of_scans(tmp_path, scan, name):
    form, damaged, opened = FORMATS[name]
    format_named(form).write(tmp_path / opened, scan, False)
    refused = flip_bits(tmp_path / damaged, lambda: _content(tmp_path / opened), seed=1)
    assert refused > PLACES // 4


def test_flipped_bits_of_results(tmp_path, scan):
    rec = Reconstruction.of_scan(
        scan,
        object=scan.object_guess,
        coverage=np.ones((40, 40), np.float32),
        xcoords=scan.xcoords,
        ycoords=scan.ycoords,
        indices=np.arange(60),
        probe=scan.probe,
        origin=np.zeros(2, np.int64),
    )
    path = tmp_path / "reconstruction.npz"
    save_reconstruction(path, rec)
    assert flip_bits(path, lambda: _result(path), seed=2) > PLACES // 2


def test_all_that_is_written_is_protected(tmp_path, scan):
    for form, name in (("cxi", "scan.cxi"), ("ptychodus", "scan")):
        format_named(form).write(tmp_path / name, scan, False)
    for path in (tmp_path / "scan.cxi", *sorted((tmp_path / "scan").iterdir())):
        assert protection(path) == "Fletcher-32 of every array, checksums of the headers"
    save_scan(tmp_path / "scan.npz", scan)
    assert protection(tmp_path / "scan.npz") == "CRC-32 of every array"


def test_files_of_others_are_told_apart(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a"], file["b"] = np.ones(4), 1.0
    assert protection(path).startswith("none")
    with h5py.File(path, "a") as file:
        file.create_dataset("c", data=np.ones(4), fletcher32=True)
    assert protection(path) == "Fletcher-32 of 1 of 2 arrays, none of the others"
    path.write_bytes(path.read_bytes()[:600])
    assert protection(path).startswith("unknown")


@pytest.mark.parametrize("shape", [(3,), (7, 5), (1000, 16, 16), (1, 5000, 6000), (2, 3, 1 << 22)])
def test_chunks_fit(shape):
    chunks = chunk_shape(shape, 8)
    assert np.prod(chunks) * 8 <= 1 << 20
    assert all(1 <= part <= whole for part, whole in zip(chunks, shape, strict=True))


def test_numbers_and_texts_are_read_as_written(tmp_path):
    def fill(file):
        put(file, "deep/number", 2.5)
        put(file, "flag", np.True_)
        put(file, "text", "grün")
        put(file, "nothing", np.zeros(0))
        put_text(file, "note", "é\nline\udcff")

    write_hdf5(tmp_path / "a.h5", fill)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["deep/number"][()] == 2.5
        assert file["flag"][()].dtype == bool
        assert file["text"].asstr()[()] == "grün"
        assert file["nothing"].shape == (0,)
        assert file.attrs["note"].decode() == "é\nline\\udcff"


def test_a_directory_without_a_member_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.ones(3), b=np.ones(3))
    raw = (tmp_path / "a.npz").read_bytes()
    end = raw.rindex(b"PK\x05\x06")
    (tmp_path / "a.npz").write_bytes(raw[: end + 10] + b"\x03" + raw[end + 11 :])
    with pytest.raises(ScanFormatError, match="lacks members"):
        Archive(tmp_path / "a.npz")
