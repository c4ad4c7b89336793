import json

import numpy as np
import pytest
from ptycho_data._contract import Findings, check_layout
from ptycho_data._statements import read_statements
from ptycho_data._values import (
    arrange,
    check_diffraction,
    check_patches,
    check_small,
)


@pytest.fixture
def findings():
    return Findings("scan.npz")


@pytest.mark.parametrize(
    ("stack", "stated", "domain"),
    [
        (np.ones((2, 3, 3), np.uint16), None, "counts"),
        (np.ones((2, 3, 3), np.uint16), "amplitude", "amplitude"),
        (np.ones((2, 3, 3), np.float32), None, "amplitude"),
        (np.full((2, 3, 3), 1 + 5e-7), None, "amplitude"),
        (np.ones((2, 3, 3), np.float32), "counts", "counts"),
        (np.full((2, 3, 3), 7.5), "counts", "counts"),
        (np.full((2, 3, 3), 7.5), "amplitude", "amplitude"),
    ],
)
def test_domain_rule(findings, stack, stated, domain):
    assert check_diffraction(stack, stated, None, None, findings)[0] == domain
    assert findings.violations == []


def test_unstated_float_above_one_says_how_to_state_it(findings):
    stack = np.full((2, 3, 3), 1.01, np.float32)
    assert check_diffraction(stack, None, None, None, findings)[0] is None
    (violation,) = findings.violations
    assert "--domain" in violation.advice
    assert "up to 1.01" in violation.got


@pytest.mark.parametrize(
    ("value", "found"),
    [(np.nan, "NaN or infinity in 1 patterns, first in pattern 1"), (np.inf, "NaN"), (-2, "down")],
)
def test_bad_values_unless_masked(findings, value, found):
    stack = np.ones((3, 4, 4), np.float32)
    stack[1, 2, 3] = value
    bad = np.zeros((4, 4), bool)
    bad[2, 3] = True
    check_diffraction(stack, "counts", bad, None, findings)
    assert findings.violations == []
    check_diffraction(stack, "counts", None, None, findings)
    assert found in findings.violations[0].got


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_all_zero_stack(findings, dtype):
    check_diffraction(np.zeros((3, 4, 4), dtype), None, None, None, findings)
    assert [(v.key, v.got) for v in findings.violations] == [("diffraction", "zeros only")]


@pytest.mark.parametrize(
    ("key", "change", "found"),
    [
        ("xcoords", {"xcoords": np.array([0, np.nan, 2])}, "1 NaN"),
        ("probeGuess", {"probeGuess": np.full((1, 3, 3), np.inf + 0j)}, "9 NaN or infinite"),
        ("probeGuess", {"probeGuess": np.zeros((1, 3, 3), complex)}, "zeros only"),
        ("xcoords", {"xcoords": np.ones(3), "ycoords": np.ones(3)}, "all positions equal"),
        ("xcoords", {"xcoords": np.arange(3) * 1e-7, "ycoords": np.ones(3)}, "within 2.0e-07"),
        ("scan_index", {"scan_index": np.array([0, 0.5, 1])}, "fractions"),
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
