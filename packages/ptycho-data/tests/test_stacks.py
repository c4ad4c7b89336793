import zlib

import numpy as np
import pytest
from ptycho_data import _stack
from ptycho_data._mapped import release
from ptycho_data._measure import all_finite, measure
from ptycho_data._stack import LazyStack, MemorySource, chunk_rows, read_patterns


@pytest.fixture(params=["nyx", "yxn", "fortran", "reversed"])
def stack(request):
    values = np.random.default_rng(0).integers(0, 60_000, (11, 6, 6)).astype(np.uint16)
    return {
        "nyx": values,
        "yxn": np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 0, 2)), 2, 0),
        "fortran": np.asfortranarray(values),
        "reversed": values[::-1],
    }[request.param]


@pytest.fixture(params=[100, 1 << 22])
def chunk_bytes(request, monkeypatch):
    monkeypatch.setattr(_stack, "BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("chunk_bytes")
def test_measure_agrees_with_whole_array_sums(stack):
    bad = np.zeros((6, 6), bool)
    bad[2, 3] = True
    wide = np.where(bad, 0, stack.astype(np.float64))
    result = measure(stack, bad_pixels=bad, squares=True)
    np.testing.assert_allclose(result.totals, wide.sum((1, 2)), rtol=1e-12)
    np.testing.assert_allclose(result.square_totals, (wide**2).sum((1, 2)), rtol=1e-12)
    assert (result.minimum, result.maximum) == (wide.min(), wide.max())


@pytest.mark.usefixtures("chunk_bytes")
def test_crc_runs_over_the_bytes_in_file_order(tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 7, 5))
    np.save(tmp_path / "a.npy", values)
    stack = np.moveaxis(np.load(tmp_path / "a.npy", mmap_mode="r"), 2, 0)
    assert measure(stack, crc=zlib.crc32(b"start")).crc == zlib.crc32(b"start" + values.tobytes())
    assert all_finite(stack, 0) == (True, zlib.crc32(values.tobytes()))


def test_not_finite_values_show_in_their_pattern_only():
    stack = np.ones((4, 3, 3), np.float32)
    stack[1, 0, 0], stack[2, 1, 1], stack[2, 2, 2] = np.nan, np.inf, -np.inf
    totals = measure(stack, squares=True).totals
    np.testing.assert_array_equal(np.isfinite(totals), [True, False, False, True])
    assert all_finite(stack) == (False, None)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (1000, 7), (3, 1 << 21)])
def test_chunks_cover_every_row_once(shape):
    rows = [index for part in chunk_rows(np.broadcast_to(np.float64(0), shape))
            for index in range(shape[0])[part]]  # fmt: skip
    assert rows == list(range(shape[0]))


def test_release_keeps_values_and_changes_of_private_maps(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100_000))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    private = np.load(tmp_path / "a.npy", mmap_mode="c")
    private[5] = -1
    for array in (mapped, mapped[3:], np.asarray(mapped), private, np.asarray(private), np.ones(3)):
        release(array)
    np.testing.assert_array_equal(mapped, np.arange(100_000))
    assert private[5] == -1


@pytest.mark.parametrize("rows", [2, slice(1, 4), np.array([3, 0])])
def test_patterns_are_read_into_memory_of_their_own(tmp_path, rows):
    values = np.arange(4 * 6 * 6).reshape(4, 6, 6)
    np.save(tmp_path / "stack.npy", values)
    mapped = np.load(tmp_path / "stack.npy", mmap_mode="r")
    for stack in (values, mapped, LazyStack(MemorySource(values))):
        read = read_patterns(stack, rows)
        np.testing.assert_array_equal(read, values[rows])
        assert not np.shares_memory(read, stack if isinstance(stack, np.ndarray) else values)
        assert read.flags.writeable
        assert read_patterns(stack, rows, np.float32).dtype == np.float32
