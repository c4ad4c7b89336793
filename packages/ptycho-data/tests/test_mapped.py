"""Files that change while their patterns are read."""

import os
import pickle

import h5py
import numpy as np
import pytest
from ptycho_data import ScanFormatError, load_scan
from ptycho_data._hdf5 import H5File
from ptycho_data._mapped import MapReference, is_mapped, map_of, read_rows
from ptycho_data._npz import Archive

VALUES = np.random.default_rng(0).integers(0, 99, (23, 6, 6)).astype(np.uint16)
ORDERS = {"(n, y, x)": VALUES, "(y, x, n)": np.moveaxis(VALUES, 0, 2), "Fortran": VALUES}


def _cut(path):
    os.truncate(path, path.stat().st_size - VALUES.nbytes // 2)


def _emptied(path):
    os.truncate(path, 0)


def _grown(path):
    with path.open("ab") as file:
        file.write(b"more")


def _rewritten(path):
    """Other bytes, with the size and the time of the file as they were."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        file.write(bytes(100))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced(path):
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    before = path.stat()
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy.replace(path)


def _removed(path):
    path.unlink()


CHANGES = [_cut, _emptied, _grown, _rewritten, _replaced, _removed]


@pytest.fixture(params=["NPZ", "NPZ scattered", "HDF5", "HDF5 chunks", "HDF5 shared chunks"])
def stack(request, tmp_path):
    """Return a file and the stack in it."""
    kind = request.param
    if kind.startswith("NPZ"):
        stored = np.moveaxis(VALUES, 0, 2) if "scattered" in kind else VALUES
        np.savez(tmp_path / "a.npz", a=np.ascontiguousarray(stored), later=np.zeros(2000))
        with Archive(tmp_path / "a.npz") as archive:
            found = archive.map("a")[0]
        return tmp_path / "a.npz", np.moveaxis(found, 2, 0) if "scattered" in kind else found
    chunks = {"HDF5": None, "HDF5 chunks": (1, 6, 6), "HDF5 shared chunks": (5, 6, 6)}[kind]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=VALUES, chunks=chunks)
    with H5File(tmp_path / "a.h5") as file:
        return tmp_path / "a.h5", file.stack("a")


def _read(stack, rows):
    return read_rows(stack, rows) if isinstance(stack, np.ndarray) else stack[rows]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_is_told_instead_of_read(stack, change):
    path, patterns = stack
    np.testing.assert_array_equal(_read(patterns, np.array([3, 22, 1])), VALUES[[3, 22, 1]])
    change(path)
    with pytest.raises(ScanFormatError, match=path.name) as told:
        _read(patterns, np.array([20, 21]))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("order", sorted(ORDERS))
@pytest.mark.parametrize(
    "rows", [1, -1, slice(3, 17, 2), slice(None), np.array([5, 4, -2, 5, 6, 7]), np.array([], int)]
)
def test_items_of_a_map_are_those_of_the_array(tmp_path, order, rows):
    stored = ORDERS[order]
    laid = np.asfortranarray(stored) if order == "Fortran" else np.ascontiguousarray(stored)
    np.savez(tmp_path / "a.npz", b=np.ones(3), a=laid)
    with Archive(tmp_path / "a.npz") as archive:
        mapped = archive.map("a")[0]
    assert is_mapped(mapped)
    for seen, expected in (
        (mapped, stored),
        (mapped[2:20:3], stored[2:20:3]),
        (mapped[::-1], stored[::-1]),
        (np.moveaxis(mapped, 2, 0), np.moveaxis(stored, 2, 0)),
    ):
        if isinstance(rows, int | slice) or np.abs(rows).max(initial=0) < len(seen):
            read = read_rows(seen, rows)
            np.testing.assert_array_equal(read, expected[rows])
            assert read.flags.writeable
            assert not is_mapped(read)
    with pytest.raises(IndexError):
        read_rows(mapped, np.array([len(mapped)]))


def test_a_map_keeps_the_stamp_of_the_file_that_was_opened(tmp_path):
    np.savez(tmp_path / "a.npz", a=VALUES)
    with Archive(tmp_path / "a.npz") as archive:
        mapped = archive.map("a")[0]
    reference = map_of(np.asarray(mapped)[1:])
    assert isinstance(reference, MapReference)
    again = pickle.loads(pickle.dumps(reference))  # noqa: S301 - our own
    np.testing.assert_array_equal(read_rows(again.open(), slice(None)), VALUES[1:])
    _replaced(tmp_path / "a.npz")
    assert map_of(mapped[3:]).stamp == reference.stamp
    with pytest.raises(ScanFormatError, match="replaced"):
        again.open()


def test_a_file_that_changes_while_it_is_loaded_is_refused(tmp_path, contract_arrays, monkeypatch):
    np.savez(tmp_path / "a.npz", **contract_arrays())
    checked = "ptycho_data._build.check_small"
    monkeypatch.setattr(checked, lambda *_: _rewritten(tmp_path / "a.npz"))
    with pytest.raises(ScanFormatError, match="changed while it was read"):
        load_scan(tmp_path / "a.npz")


def test_patterns_are_cut_short_within_a_reading(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", a=VALUES)
    with Archive(tmp_path / "a.npz") as archive:
        mapped = archive.map("a")[0]
    _cut(tmp_path / "a.npz")
    monkeypatch.setattr("ptycho_data._mapped.Stamp.check", lambda *_: None)
    with pytest.raises(ScanFormatError, match="cut short"):
        read_rows(mapped, slice(None))
