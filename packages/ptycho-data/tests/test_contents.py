import json

import numpy as np
import pytest
from ptycho_data._contract import check_layout
from ptycho_data._statements import read_statements
from ptycho_data._values import (
    arrange,
    check_patches,
    check_small,
)
from ptycho_data._violations import Findings


@pytest.fixture
def findings():
    return Findings("scan.npz")


@pytest.mark.parametrize(
    ("key", "change", "found"),
    [
        ("xcoords", {"xcoords": np.array([0, np.nan, 2])}, "1 NaN"),
        ("probeGuess", {"probeGuess": np.full((1, 3, 3), np.inf + 0j)}, "9 NaN or infinite"),
        ("probeGuess", {"probeGuess": np.zeros((1, 3, 3), complex)}, "zeros only"),
        ("xcoords", {"xcoords": np.ones(3), "ycoords": np.ones(3)}, "all positions equal"),
        ("xcoords", {"xcoords": np.arange(3) * 1e-7, "ycoords": np.ones(3)}, "within 2.0e-07"),
        ("scan_index", {"scan_index": np.array([0, 0.5, 1])}, "fractions"),
        ("background", {"background": np.full((3, 3), -1.0)}, "-1 to -1"),
        ("subtracted", {"subtracted": np.full((3, 3), np.nan)}, "9 NaN"),
        ("bad_pixels", {"bad_pixels": np.ones((3, 3), bool)}, "every pixel masked"),
    ],
)
def test_small_values(findings, key, change, found):
    check_small({"xcoords": np.arange(3.0), "ycoords": np.ones(3)}, findings)
    assert findings.violations == []  # a line scan is a scan
    check_small({"xcoords": np.arange(3.0), "ycoords": np.ones(3)} | change, findings)
    assert [(v.key, found in v.got) for v in findings.violations] == [(key, True)]


def test_patches_must_be_finite(findings):
    patches = np.ones((3, 4, 4), np.complex64)
    check_patches(patches, None, findings)
    assert findings.violations == []
    patches[2, 1, 1] = np.nan
    check_patches(patches, None, findings)
    assert [v.key for v in findings.violations] == ["Y"]


def test_statements_from_keys_win_over_metadata(findings):
    metadata = {"domain": "counts", "physics_parameters": {"nphotons": 1e9}, "axes": "nyx"}
    arrays = {"_metadata": np.array(json.dumps(metadata))}
    stated = read_statements(arrays, findings)
    assert (stated.domain, stated.nphotons, stated.axes) == ("counts", 1e9, "nyx")
    arrays |= {"domain": np.array([b"amplitude"]), "nphotons": np.array([5e4], np.float32)}
    stated = read_statements(arrays, findings)
    assert (stated.domain, stated.nphotons, stated.pixel_size_m) == ("amplitude", 5e4, None)
    assert findings.violations == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("domain", "intensity"),
        ("domain", b"\xff\xfe"),
        ("_metadata", "{not json"),
        ("_metadata", "[1]"),
        ("_metadata", "[" * 100_000),
        ("nphotons", 0.0),
        ("nphotons", np.nan),
        ("pixel_size_m", -1e-9),
    ],
)
def test_bad_statements(findings, key, value):
    read_statements({key: np.array(value)}, findings)
    assert [v.key for v in findings.violations] == [key]


def test_arrange_brings_every_layout_to_one(contract_arrays, findings):
    good = contract_arrays(modes=1)
    odd = good | {
        "diffraction": np.moveaxis(good["diffraction"], 0, 2),
        "probeGuess": np.moveaxis(good["probeGuess"], 0, 2),
        "Y": good["Y"][..., np.newaxis],
        "bad_pixels": good["bad_pixels"].astype(np.int32) * 4,
    }
    arranged = arrange(odd, check_layout(odd, findings))
    assert findings.violations == []
    for key, array in good.items():
        np.testing.assert_array_equal(arranged[key], array)
        assert arranged[key].dtype == array.dtype
    assert np.shares_memory(arranged["diffraction"], good["diffraction"])
