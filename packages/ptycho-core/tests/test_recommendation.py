import numpy as np
import pytest
from ptycho_core.analysis.inspection import inspect_scan
from ptycho_core.analysis.recommendation import network_sizes, recommend
from ptycho_core.testing import scan_on_raster


def recommended(scan):
    return recommend(scan, inspect_scan(scan))


@pytest.fixture
def sized():
    """64 patterns of a size that networks accept."""
    return np.random.default_rng(0).poisson(5.0, (64, 64, 64)).astype(np.uint16)


def test_options_follow_the_overlap(sized):
    dense = recommended(scan_on_raster(sized, step=4.0))
    # A step holds about 16 patterns, whatever the size of a group.
    assert dense.options == {"gridsize": 2, "batch_size": 4, "neighbor_count": 7}
    single = {"gridsize": 1, "batch_size": 16}
    usual = recommended(scan_on_raster(sized, step=11.0))  # 66 %
    assert usual.options == single
    sparse = recommended(scan_on_raster(sized, step=20.0))
    assert sparse.options == single
    assert recommended(scan_on_raster(sized[:30], step=4.0)).options == single


def test_options_for_large_patterns():
    big = np.random.default_rng(0).poisson(1.0, (64, 256, 256)).astype(np.uint8)
    assert recommended(scan_on_raster(big, step=4.0)).options["batch_size"] == 2
    assert recommended(scan_on_raster(big, step=60.0)).options["batch_size"] == 8


@pytest.mark.parametrize(
    ("N", "ways"),
    [
        (32, "pad them with zeros to 64 x 64, so that pixel [16, 16]"),
        (100, "pad them with zeros to 128 x 128 or crop them to 64 x 64, so"),
        (512, "crop them to 256 x 256, so"),
    ],
)
def test_a_size_that_no_network_accepts(N, ways):
    result = recommended(scan_on_raster(np.ones((4, N, N), np.float32)))
    assert (result.command, result.options) == ("reconstruct", {})
    assert ways in result.remarks[0]
    assert "multiply xcoords and ycoords by M/" in result.remarks[1]


@pytest.mark.parametrize("N", network_sizes())
def test_sizes_that_networks_accept(N):
    result = recommended(scan_on_raster(np.ones((4, N, N), np.float32)))
    assert result.command == "train"
    assert not any("ptycho train" in remark for remark in result.remarks)


def test_an_unknown_dose_is_remarked(counts):
    amplitude = np.sqrt(counts) / np.sqrt(counts.max())
    unknown = recommended(scan_on_raster(amplitude.astype(np.float32), domain="amplitude"))
    assert any("--nphotons" in remark for remark in unknown.remarks)


@pytest.mark.parametrize(
    ("count", "step", "word"),
    [(64, 40.0, "must overlap"), (64, 1e7, "GiB"), (1, 4.0, "only one")],
)
def test_no_command_for_what_cannot_be_reconstructed(sized, count, step, word):
    result = recommended(scan_on_raster(sized[:count], step=step))
    assert (result.command, result.options) == (None, {})
    assert any(word in problem for problem in result.problems)
    assert not any("overlap by" in remark for remark in result.remarks)
    assert recommended(scan_on_raster(sized, step=4.0)).problems == []
