"""Pixels that measured no light, and masks; beside each wrong scan, the right one stays silent."""

import attrs
import numpy as np
import pytest
from ptycho_core.cautions import CHECKS, ScanFacts, positions
from ptycho_core.testing import simulated_scan

NO_VALUE = 2**32 - 1


@pytest.fixture(scope="module")
def right():
    return simulated_scan(60)


def changed(scan, change, dtype=np.uint32, **more):
    """Return the scan with its patterns changed in place."""
    patterns = np.array(scan.diffraction, dtype=dtype)
    change(patterns)
    return attrs.evolve(scan, diffraction=patterns, known_totals=None, **more)


def found(scan):
    """What is measured where patterns are doubted; positions are not the subject here."""
    facts = ScanFacts(scan)
    own = [check for check in CHECKS if check.__module__ != positions.__name__]
    return {caution.code: caution.measured for check in own for caution in check(facts)}


def test_a_right_scan_has_no_doubts(right):
    assert found(right) == {}
    assert found(attrs.evolve(right, probe_made=True)) == {}


@pytest.mark.parametrize("value", [NO_VALUE, NO_VALUE - 1, 65535, 2**20 - 1])
@pytest.mark.parametrize("dtype", [np.uint32, np.float64, np.int64])
def test_the_value_for_no_measurement(right, value, dtype):
    mask = np.zeros((64, 64), bool)
    mask[:, 20:22] = mask[40] = True

    def fill(patterns):
        patterns[:, mask] = value

    wrong = found(changed(right, fill, dtype))
    assert list(wrong) == ["stuck-pixels"]
    assert wrong["stuck-pixels"] == {"pixels": 190, "first": [0, 20], "value": value}
    assert found(changed(right, fill, dtype, bad_pixels=mask)) == {}


def test_stuck_amplitudes(right):
    def fill(patterns):
        patterns[:] = np.sqrt(patterns)
        patterns[:, 7, 9] = 65536.0

    wrong = changed(right, fill, np.float32, domain="amplitude", nphotons=1e5)
    assert found(wrong)["stuck-pixels"]["first"] == [7, 9]
    mask = np.zeros((64, 64), bool)
    mask[7, 9] = True
    assert found(attrs.evolve(wrong, bad_pixels=mask)) == {}


@pytest.mark.parametrize("made", [False, True])
def test_hot_pixels(right, made):
    rng = np.random.default_rng(0)

    def heat(patterns):
        patterns[:, 5, 50] += rng.poisson(5e3, len(patterns)).astype(np.uint32)
        patterns[:, 20:23, 10:13] += rng.poisson(1e3, (len(patterns), 3, 3)).astype(np.uint32)

    wrong = found(changed(right, heat, probe_made=made))
    assert list(wrong) == ["hot-pixels"]
    assert wrong["hot-pixels"]["pixels"] == 10
    assert wrong["hot-pixels"]["brightest"] == [5, 50]
    assert wrong["hot-pixels"]["share"] == pytest.approx(14e3 / 114e3, rel=0.02)


def test_a_single_bright_pattern_has_no_hot_pixel(right):
    def flash(patterns):
        patterns[3, 5, 50] = 60_000

    assert "hot-pixels" not in found(changed(right, flash))


@pytest.mark.parametrize("made", [False, True])
def test_gaps_of_zeros(right, made):
    def cut(patterns):
        patterns[:, 34:38] = 0
        patterns[:, :, 25] = 0

    wrong = found(changed(right, cut, probe_made=made))
    assert wrong == {"dead-lines": {"rows": [34, 35, 36, 37], "columns": [25]}}
    mask = np.zeros((64, 64), bool)
    mask[34:38] = mask[:, 25] = True
    assert found(changed(right, cut, probe_made=made, bad_pixels=mask)) == {}


def test_dead_pixels_and_a_beam_stop(right):
    y, x = np.mgrid[:64, :64] - 32
    stop = np.hypot(x - 8, y) < 3  # on the ring of light that the zone plate makes

    def shade(patterns):
        patterns[:, stop] = 0
        patterns[:, 40, 34] = 0

    wrong = found(changed(right, shade))
    assert wrong == {"dead-pixels": {"pixels": int(stop.sum()) + 1, "first": [30, 38]}}
    mask = stop.copy()
    mask[40, 34] = True
    assert found(changed(right, shade, bad_pixels=mask)) == {}


def test_few_photons_leave_dark_pixels_that_are_not_dead(right):
    rng = np.random.default_rng(1)

    def dim(patterns):
        patterns[:] = rng.binomial(patterns, 1e-3)

    assert set(found(changed(right, dim))) == {"few-photons"}


def test_an_inverted_mask(right):
    bad = np.zeros((64, 64), bool)
    bad[:, 20:22] = bad[30, 30] = True
    assert found(attrs.evolve(right, bad_pixels=bad, known_totals=None)) == {}
    wrong = found(attrs.evolve(right, bad_pixels=~bad, known_totals=None))
    assert wrong["inverted-mask"]["bad"] == pytest.approx(1 - 129 / 4096)


def test_a_mask_over_the_light(right):
    y, x = np.mgrid[:64, :64] - 32
    light = np.hypot(x, y) < 20
    assert light.mean() < 0.5
    wrong = found(attrs.evolve(right, bad_pixels=light, known_totals=None))
    assert wrong["inverted-mask"]["lit_and_bad"] > 0.5
    stop = np.hypot(x, y) < 8
    assert "inverted-mask" not in found(attrs.evolve(right, bad_pixels=stop, known_totals=None))


def test_saturated_pixels_are_not_stuck(right):
    wrong = changed(right, lambda patterns: np.minimum(patterns, 120, out=patterns))
    assert list(found(wrong)) == ["saturated"]
    assert found(wrong)["saturated"]["largest"] == 120
