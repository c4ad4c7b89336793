"""Frames without light, with too much of it, or recorded twice; beside each, the right scan."""

import attrs
import numpy as np
import pytest
from ptycho_core.cautions import CHECKS, ScanFacts, frames, positions
from ptycho_core.testing import simulated_scan
from ptycho_data import read_patterns
from ptycho_physics import disk_probe


@pytest.fixture(scope="module")
def right():
    return simulated_scan(80, shape=(130, 140))


def changed(scan, change):
    """Return the scan with its patterns changed in place."""
    patterns = np.array(scan.diffraction, np.int64)
    change(patterns)
    return attrs.evolve(scan, diffraction=patterns, known_totals=None)


def found(scan):
    """What is measured where patterns are doubted; positions are not the subject here."""
    facts = ScanFacts(scan)
    own = [check for check in CHECKS if check.__module__ != positions.__name__]
    return {caution.code: caution.measured for check in own for caution in check(facts)}


def test_a_right_scan_has_no_doubts(right):
    assert found(right) == {}


@pytest.mark.parametrize("stray", [0.0, 0.01])
def test_the_beam_was_off(right, stray):
    rng = np.random.default_rng(0)

    def darken(patterns):
        patterns[[5, 17, 40]] = rng.poisson(stray, (3, 64, 64))

    wrong = found(changed(right, darken))
    assert list(wrong) == ["dim-frames"]
    assert wrong["dim-frames"]["patterns"] == 3
    assert wrong["dim-frames"]["first"] == [5, 17, 40]
    assert wrong["dim-frames"]["largest_part"] <= 1e-3


@pytest.mark.parametrize(("first", "photons"), [(50, 1e5), (3, 5)])
def test_frames_without_any_light_among_none_or_few_photons(right, first, photons):
    def darken(patterns):
        patterns[:first] = 0
        patterns[first:] = np.random.default_rng(0).poisson(photons / 64**2, (80 - first, 64, 64))
        patterns[first:, 32, 32] += 1

    wrong = found(changed(right, darken))["dim-frames"]
    assert (wrong["patterns"], wrong["largest_part"]) == (first, 0.0)


def test_an_absorbing_sample_is_not_dim(right):
    def absorb(patterns):
        patterns[30:50] = np.random.default_rng(0).binomial(patterns[30:50], 0.05)

    assert "dim-frames" not in found(changed(right, absorb))


def test_the_detector_went_wild(right):
    rng = np.random.default_rng(0)

    def burst(patterns):
        patterns[[5, 17]] = rng.integers(0, 65535, (2, 64, 64))

    wrong = found(changed(right, burst))
    assert wrong["bright-frames"]["patterns"] == 2
    assert wrong["bright-frames"]["times"] == pytest.approx(65535 / 2 * 4096 / 1e5, rel=0.1)


def test_one_frame_of_a_thousand_times_the_light(right):
    def flash(patterns):
        patterns[33] *= 1000

    wrong = found(changed(right, flash))
    assert list(wrong) == ["bright-frames"]
    assert wrong["bright-frames"]["first"] == [33]


def test_old_frames(right):
    def freeze(patterns):
        patterns[[11, 12, 50]] = patterns[[10, 10, 49]]

    wrong = found(changed(right, freeze))
    assert wrong["frozen-frames"] == {"patterns": 3, "first": [11, 12, 50]}

    def same_sums(patterns):  # not frozen: two pixels exchanged their values
        patterns[12] = patterns[11]
        patterns[12, 32, 24], patterns[12, 32, 25] = patterns[11, 32, 25] + 1, patterns[11, 32, 24]
        patterns[12, 32, 26] -= 1

    assert found(changed(right, same_sums)) == {}


def test_a_long_frozen_scan_is_not_read_whole(monkeypatch, right):
    calls = []
    monkeypatch.setattr(
        frames, "read_patterns", lambda *args: calls.append(1) or read_patterns(*args)
    )

    def freeze(patterns):
        patterns[:] = patterns[0]

    wrong = found(changed(right, freeze))
    assert wrong["frozen-frames"]["patterns"] == 79
    assert len(calls) == frames.COMPARED


@pytest.mark.parametrize("spread", [0.3, 0.4])
def test_an_unsteady_beam(right, spread):
    rng = np.random.default_rng(1)

    def flicker(patterns):
        for pattern in patterns:
            pattern[:] = rng.binomial(pattern, rng.uniform(1 - spread, 1 + spread) / 1.4)

    wrong = found(changed(right, flicker))
    assert list(wrong) == ["unsteady-light"]
    assert wrong["unsteady-light"]["scatter"] == pytest.approx(spread / np.sqrt(3), rel=0.3)


def test_a_beam_that_fades_slowly_is_steady(right):
    rng = np.random.default_rng(1)

    def fade(patterns):
        patterns[:] = rng.binomial(patterns, np.linspace(1, 0.7, 80)[:, None, None])

    assert found(changed(right, fade)) == {}


def test_light_shared_by_neighbours():
    """Two discs of diameter D at distance h overlap in the area of a lens."""
    D, h = 30.0, np.array([0.0, 6.0, 15.0, 40.0])
    part = np.clip(h / D, 0, 1)
    lens = (2 * np.arccos(part) - 2 * part * np.sqrt(1 - part**2)) / np.pi
    shifts = np.stack([h, 0 * h], axis=1)
    measured = frames._shared_light(disk_probe(128, D, edge=0.1), shifts)
    assert measured == pytest.approx(lens, abs=0.02)
