"""Stacks on disk: what is read, in which order, and across process borders."""

import multiprocessing
import os
import pickle
import warnings

import attrs
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_data import Scan, ScanFormatError, ScanFormatWarning, load_scan, scan_from_arrays
from ptycho_data._changes import CentredSource, changed
from ptycho_data._hdf5 import H5File
from ptycho_data._mapped import is_mapped, map_of
from ptycho_data._stack import LazyStack, MappedSource, MemorySource

VALUES = np.random.default_rng(0).integers(0, 99, (23, 6, 6)).astype(np.uint16)


@pytest.fixture(
    scope="module", params=["mapped", "memory", "chunks of 1", "chunks of 5", "strided"]
)
def stack(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    if request.param == "memory":
        return LazyStack(MemorySource(VALUES))
    if request.param in ("mapped", "strided"):
        order = VALUES if request.param == "mapped" else np.moveaxis(VALUES, 0, 2)
        np.save(folder / "a.npy", np.ascontiguousarray(order))
        mapped = np.load(folder / "a.npy", mmap_mode="r")
        first = mapped if request.param == "mapped" else np.moveaxis(mapped, 2, 0)
        return LazyStack(MappedSource(first))
    chunk = int(request.param.split()[-1])
    with h5py.File(folder / "a.h5", "w") as file:
        options = {"chunks": (chunk, 6, 3), "compression": "gzip"}
        file.create_dataset("a", data=VALUES, **options)
    with H5File(folder / "a.h5") as file:
        return file.stack("a")


INDEX = st.one_of(
    st.integers(-23, 22),
    st.lists(st.integers(-23, 22), max_size=12).map(lambda v: np.array(v, dtype=np.int64)),
    st.slices(23),
    st.lists(st.booleans(), min_size=23, max_size=23).map(np.array),
)


@given(index=INDEX, again=st.lists(st.integers(0, 3), max_size=5))
def test_indexing_is_that_of_arrays(stack, index, again):
    np.testing.assert_array_equal(stack[index], VALUES[index])
    if isinstance(index, int):
        np.testing.assert_array_equal(stack[index, 1:, 2], VALUES[index, 1:, 2])
        return
    part = stack.select(index)
    assert part.shape == VALUES[index].shape
    np.testing.assert_array_equal(np.asarray(part), VALUES[index])
    np.testing.assert_array_equal(part[:, 2], VALUES[index][:, 2])
    if len(part) > 3:
        np.testing.assert_array_equal(part.select(again)[:], VALUES[index][again])
        copy = pickle.loads(pickle.dumps(part))  # noqa: S301 - our own
        np.testing.assert_array_equal(copy[:], VALUES[index])


def test_what_is_no_index_is_refused(stack):
    for wrong in (23, -24, [0, 23], [0.5], [[1, 2]], "a"):
        with pytest.raises(IndexError):
            stack[wrong]


def test_it_looks_like_an_array(stack):
    assert (stack.shape, stack.dtype, stack.ndim) == (VALUES.shape, VALUES.dtype, 3)
    assert (len(stack), stack.nbytes) == (23, VALUES.nbytes)
    np.testing.assert_array_equal(stack.astype(np.float32), VALUES)
    np.testing.assert_array_equal(list(stack), VALUES)
    assert [i for rows in stack.blocks() for i in range(23)[rows]] == list(range(23))
    with pytest.raises(ValueError, match="copy"):
        np.asarray(stack, copy=False)


def test_zero_frequency_is_moved_as_patterns_are_read(stack):
    moved = LazyStack(CentredSource(stack))
    np.testing.assert_array_equal(moved[[3, 1]], np.fft.fftshift(VALUES[[3, 1]], axes=(1, 2)))


def _first_rows(patterns):
    return patterns[:, :2].astype(np.float32) / 2


def test_patterns_are_changed_as_they_are_read(stack):
    half = changed(stack, _first_rows)
    assert (half.shape, half.dtype) == ((23, 2, 6), np.float32)
    np.testing.assert_array_equal(half[[3, 1]], VALUES[[3, 1], :2] / np.float32(2))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(half))[5], VALUES[5, :2] / 2)  # noqa: S301 - our own
    assert isinstance(changed(VALUES, _first_rows), np.ndarray)  # in memory it is done at once


def test_only_what_is_asked_for_is_read(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=VALUES, chunks=(1, 6, 6), compression="gzip")
    with H5File(tmp_path / "a.h5") as file:
        stack = file.stack("a")
    asked = []
    whole = h5py.Dataset.__getitem__
    monkeypatch.setattr(
        h5py.Dataset, "__getitem__", lambda self, key: asked.append(key) or whole(self, key)
    )
    stack[[4, 9, 5, 4]]
    assert asked == [slice(4, 6), slice(9, 10)]


def test_patterns_that_share_chunks_are_decompressed_once(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=VALUES, chunks=(10, 6, 6), compression="gzip")
    with H5File(tmp_path / "a.h5") as file:
        stack = file.stack("a")
    opened = []
    monkeypatch.setattr(
        "ptycho_data._hdf5_source.open_file", lambda path: opened.append(1) or h5py.File(path)
    )
    for index in (3, 15, 4, 19, 22, 2):
        np.testing.assert_array_equal(stack[index], VALUES[index])
    assert len(opened) == 3


def test_a_file_that_changed_is_not_read_on(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=VALUES, chunks=(1, 6, 6))
    with H5File(tmp_path / "a.h5") as file:
        stack = file.stack("a")
    os.utime(tmp_path / "a.h5", ns=(1, 1))
    with pytest.raises(ScanFormatError, match="changed while it was read"):
        stack[0]
    (tmp_path / "a.h5").unlink()
    with pytest.raises(ScanFormatError, match="removed"):
        stack[0]


@pytest.fixture(params=["npz", "chunked"])
def scan(request, tmp_path, contract_arrays):
    scan = scan_from_arrays(contract_arrays(n=400, N=16))
    np.savez(tmp_path / "a.npz", **contract_arrays(n=400, N=16))
    if request.param == "npz":
        return load_scan(tmp_path / "a.npz")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=scan.diffraction, chunks=(3, 16, 16), compression="gzip")
    with H5File(tmp_path / "a.h5") as file:
        return attrs.evolve(scan, diffraction=file.stack("a"), source=tmp_path / "a.h5")


def test_a_scan_crosses_borders_as_the_name_of_its_file(scan):
    message = pickle.dumps(scan.select([3, 9, 4]))
    assert len(message) < 60_000  # objectGuess (42 kB), not the patterns (a megabyte with Y)
    copy = pickle.loads(message)  # noqa: S301 - our own
    assert isinstance(copy.diffraction, LazyStack)
    np.testing.assert_array_equal(copy.counts(), scan.counts([3, 9, 4]))
    whole = pickle.loads(pickle.dumps(scan))  # noqa: S301 - our own
    assert is_mapped(whole.diffraction) == is_mapped(scan.diffraction)
    np.testing.assert_array_equal(whole.counts(), scan.counts())
    np.testing.assert_array_equal(whole.intensity_totals, scan.intensity_totals)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_for_themselves(scan, method):
    scan.counts([0])  # the parent has read already
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork, from Python 3.12 on
        with multiprocessing.get_context(method).Pool(2) as pool:
            found = pool.map(scan.counts, [[i, 39 - i] for i in range(8)])
    for i, counts in enumerate(found):
        np.testing.assert_array_equal(counts, scan.counts([i, 39 - i]))


def test_selection_leaves_patterns_on_disk(scan):
    part = scan.select([7, 2, 30])
    assert isinstance(part.diffraction, LazyStack)
    np.testing.assert_array_equal(part.counts(), scan.counts([7, 2, 30]))
    further = part.select([2, 0])
    np.testing.assert_array_equal(further.counts(), scan.counts([30, 7]))
    if scan.patches is not None and is_mapped(scan.patches):
        assert isinstance(part.patches, LazyStack)
    np.testing.assert_array_equal(part.patches, scan.patches[[7, 2, 30]])


@pytest.mark.parametrize("shown", [slice(None), slice(2, 20, 3), slice(5, None)])
def test_a_map_is_found_again(tmp_path, shown):
    np.save(tmp_path / "a.npy", VALUES)
    array = np.load(tmp_path / "a.npy", mmap_mode="r")[shown]
    np.testing.assert_array_equal(map_of(array).open(), VALUES[shown])
    turned = np.moveaxis(array, 0, 2)
    np.testing.assert_array_equal(map_of(turned).open(), np.moveaxis(VALUES[shown], 0, 2))
    assert map_of(VALUES) is None


def test_scattered_patterns_are_put_in_order_or_told(tmp_path, monkeypatch):
    turned = np.ascontiguousarray(np.moveaxis(VALUES, 0, 2))
    np.savez(tmp_path / "a.npz", diffraction=turned, xcoords=np.arange(23.0),
             ycoords=np.arange(23.0) % 5, probeGuess=np.ones((6, 6), complex))  # fmt: skip
    scan = load_scan(tmp_path / "a.npz")
    assert not is_mapped(scan.diffraction)
    monkeypatch.setattr("ptycho_data._build._REORDER_BYTES", 100)
    with pytest.warns(ScanFormatWarning, match=r"scattered over .* ptycho convert IN OUT\.npz"):
        large = load_scan(tmp_path / "a.npz")
    assert is_mapped(large.diffraction)
    np.testing.assert_array_equal(large.diffraction, scan.diffraction)


def test_dear_chunks_are_told(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("dp", data=VALUES, chunks=(23, 2, 2), compression="gzip")
        file["ppX"], file["ppY"] = np.arange(23) * 1e-6, np.arange(23) * 1e-7
        file["dx"] = 1e-8
    monkeypatch.setattr("ptycho_data._build._COSTLY_BYTES", VALUES.nbytes - 1)
    with pytest.warns(ScanFormatWarning) as told:
        load_scan(tmp_path / "a.h5")
    assert any("means decompressing 0 MB" in str(line.message) for line in told)


def test_a_scan_holds_a_lazy_stack_from_the_start():
    stack = LazyStack(MemorySource(VALUES))
    scan = Scan(diffraction=stack, xcoords=np.arange(23), ycoords=np.arange(23),
                probe=np.ones((6, 6), complex), domain="counts")  # fmt: skip
    assert (scan.n, scan.N) == (23, 6)
    np.testing.assert_array_equal(scan.intensity_totals, VALUES.sum((1, 2)))
