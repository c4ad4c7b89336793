"""Patterns: their values, the domain that values tell, pixels without a value."""

import numpy as np
import pytest
from ptycho_data import Scan, ScanFormatError, ScanFormatWarning, load_scan, save_scan
from ptycho_data._domain import quantum
from ptycho_data._patterns import check_patterns
from ptycho_data._violations import Findings


@pytest.fixture
def findings():
    return Findings("scan.npz")


@pytest.fixture
def counts():
    """Counts (40, 8, 8) of a bright middle and dim edges."""
    radius = np.hypot(*(np.indices((8, 8)) - 4))
    return np.random.default_rng(5).poisson(400 * np.exp(-radius), (40, 8, 8)).astype(np.uint32)


def check(stack, findings, stated=None, mask=None, **more):
    return check_patterns(stack, stated, mask, None, findings, **more)


@pytest.mark.parametrize(
    ("stack", "stated", "domain"),
    [
        (np.ones((2, 3, 3), np.uint16), None, "counts"),
        (np.ones((2, 3, 3), np.uint16), "amplitude", "amplitude"),
        (np.ones((2, 3, 3), np.float32), None, "counts"),
        (np.full((2, 3, 3), 700, np.float32), None, "counts"),
        (np.full((2, 3, 3), 0.7, np.float32), None, "amplitude"),
        (np.full((2, 3, 3), 1 + 5e-7), None, "amplitude"),
        (np.ones((2, 3, 3), np.float32), "amplitude", "amplitude"),
        (np.full((2, 3, 3), 7.5), "counts", "counts"),
        (np.full((2, 3, 3), 7.5), "amplitude", "amplitude"),
    ],
)
def test_domain_rule(findings, stack, stated, domain):
    assert check(stack, findings, stated).domain == domain
    assert findings.violations == []


def test_unstated_float_above_one_says_how_to_state_it(findings):
    stack = np.full((2, 3, 3), 1.01, np.float32)
    assert check(stack, findings).domain is None
    (violation,) = findings.violations
    assert "--domain" in violation.advice
    assert "up to 1.01" in violation.got


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("stated", [None, "counts"])
@pytest.mark.parametrize("number", [1.0, "largest", 750.5])
def test_whole_multiples_of_a_step_are_counts(findings, counts, dtype, stated, number):
    number = counts.max() if number == "largest" else number
    found = check((counts / number).astype(dtype), findings, stated)
    assert found.domain == "counts"
    np.testing.assert_allclose(found.stack, counts, rtol=1e-5)
    np.testing.assert_allclose(found.totals, counts.sum(axis=(1, 2)), rtol=1e-5)
    assert len(found.cautions) == (number != 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_roots_of_whole_multiples_are_amplitudes_beyond_doubt(findings, counts, dtype):
    found = check(np.sqrt(counts / counts.max()).astype(dtype), findings)
    assert (found.domain, found.cautions) == ("amplitude", [])


def test_electrons_counted_as_zero_and_one(findings, counts):
    found = check((counts > 100).astype(np.float32), findings)
    assert (found.domain, found.cautions) == ("counts", [])
    assert found.totals.sum() == (counts > 100).sum()


def test_a_number_type_that_decides_alone_is_told(findings, counts):
    smooth = np.sqrt(np.random.default_rng(1).random(counts.shape)).astype(np.float32)
    found = check(smooth, findings)
    assert found.domain == "amplitude"
    assert "--domain" in found.cautions[0]
    assert check(smooth, findings, "amplitude").cautions == []


def test_every_reader_warns_of_a_guess(tmp_path, contract_arrays):
    arrays = contract_arrays()
    arrays["diffraction"] = np.random.default_rng(1).random((12, 8, 8))
    del arrays["domain"]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.warns(ScanFormatWarning, match="--domain"):
        load_scan(tmp_path / "a.npz")
    load_scan(tmp_path / "a.npz", domain="amplitude")  # and no warning


def test_the_step_of_values():
    rng = np.random.default_rng(3)
    whole = rng.poisson(30, 4000) + 1.0
    assert quantum(whole * 0.3, 1e-15) == pytest.approx(0.3)
    assert quantum((whole * 0.3).astype(np.float32).astype(float), 1.2e-7) == pytest.approx(0.3)
    assert quantum(rng.random(4000), 1e-15) is None
    assert quantum(rng.random(4000).astype(np.float32).astype(float), 1.2e-7) is None
    assert quantum(np.sqrt(whole), 1e-15) is None
    assert quantum(np.full(9, 0.3), 1e-15) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [(np.nan, "NaN or infinity in 1 patterns, first in pattern 1"), (np.inf, "NaN"), (-2, "down")],
)
def test_bad_values_unless_masked(findings, value, found):
    stack = np.ones((3, 4, 4), np.float32)
    stack[1, 2, 3] = value
    bad = np.zeros((4, 4), bool)
    bad[2, 3] = True
    check(stack, findings, "counts", bad)
    assert findings.violations == []
    check(stack, findings, "counts")
    assert found in findings.violations[0].got
    assert "bad_pixels" in findings.violations[0].advice


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_all_zero_stack(findings, dtype):
    check(np.zeros((3, 4, 4), dtype), findings)
    assert [(v.key, v.got) for v in findings.violations] == [("diffraction", "zeros only")]


@pytest.mark.parametrize("order", ["C", "patterns last"])
@pytest.mark.parametrize(
    ("dtype", "value", "rows", "bad"),
    [
        ("uint32", 2**32 - 1, slice(None), True),
        ("uint32", 2**32 - 1, slice(3, 4), True),  # no counter gets there
        ("int32", 2**31 - 1, slice(3, 4), True),
        ("uint32", 2**16 - 1, slice(None), True),
        ("uint32", 2**16 - 1, slice(0, 10), False),  # light may
        ("uint16", 2**16 - 1, slice(0, 30), True),
        ("uint16", 2**16 - 1, slice(0, 10), False),
        ("float32", 2**32 - 1, slice(None), True),
        ("uint32", 2**16 - 2, slice(None), False),
    ],
)
def test_pixels_with_the_fill_value_are_bad(findings, counts, order, dtype, value, rows, bad):
    stack = counts.astype(dtype)
    stack[rows, 2, 5] = value
    if order != "C":
        stack = np.moveaxis(np.moveaxis(stack, 0, 2).copy(), 2, 0)
    found = check(stack, findings)
    assert findings.violations == []
    assert len(found.cautions) == bad
    if bad:
        assert np.argwhere(found.bad_pixels).tolist() == [[2, 5]]
        counts[:, 2, 5] = 0
        np.testing.assert_array_equal(found.totals, counts.sum(axis=(1, 2)))
    else:
        assert found.bad_pixels is None


def test_fill_values_join_the_mask_and_marked_ones_are_no_news(findings, counts):
    counts[:, 2, 5] = counts[:, 6, 1] = 2**32 - 1
    mask = np.zeros((8, 8), bool)
    mask[2, 5] = True
    found = check(counts, findings, mask=mask)
    assert np.argwhere(found.bad_pixels).tolist() == [[2, 5], [6, 1]]
    mask[6, 1] = True
    assert check(counts, findings, mask=mask).cautions == []


def test_nothing_but_fill_values_is_not_masked_away(findings):
    assert check(np.full((3, 4, 4), 65535, np.uint16), findings).bad_pixels is None


def test_gaps_below_zero_are_told_from_noise(findings, counts):
    gaps = counts.astype(np.int32)
    gaps[:, :, 3], gaps[:, 5, 5] = -1, -2
    check(gaps, findings)
    (violation,) = findings.violations
    assert "negative values down to -2, the same in every pattern in 9 pixels" in violation.got
    assert "bad_pixels" in violation.advice


def test_noise_below_zero_is_clipped_on_demand(findings, counts):
    noise = counts + np.random.default_rng(2).normal(0, 3, counts.shape)
    check(noise, findings, "counts")
    assert "--negative clip" in findings.violations.pop().advice
    noise[:, 1, 1] = -1
    found = check(noise, findings, "counts", negative="clip")
    assert findings.violations == []
    np.testing.assert_array_equal(found.stack, np.maximum(noise, 0))
    assert np.argwhere(found.bad_pixels).tolist() == [[1, 1]]
    noise[:, 1, 1] = 0
    np.testing.assert_allclose(found.totals, np.maximum(noise, 0).sum(axis=(1, 2)))
    assert len(found.cautions) == 2


def test_clipped_patterns_stay_on_disk(tmp_path, counts):
    noise = (counts - 5.5).astype(np.float32)
    scan = Scan(diffraction=noise, xcoords=np.arange(40), ycoords=np.arange(40),
                probe=np.ones((8, 8), complex), domain="counts")  # fmt: skip
    save_scan(tmp_path / "a.npz", scan)
    with pytest.raises(ScanFormatError, match="--negative clip"):
        load_scan(tmp_path / "a.npz")
    with pytest.warns(ScanFormatWarning, match="became 0"):
        read = load_scan(tmp_path / "a.npz", negative="clip")
    assert not isinstance(read.diffraction, np.ndarray)
    assert read.bad_pixels is None  # not even the dim edges, below zero in every pattern
    np.testing.assert_array_equal(read.counts(), np.maximum(noise, 0))
    with pytest.raises(ValueError, match="negative must be refuse or clip"):
        load_scan(tmp_path / "a.npz", negative="drop")
