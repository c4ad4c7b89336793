import logging

import attrs
import numpy as np
import pytest
from ptycho_core.cautions import UnusableScanError, check_scan, require_near, scan_cautions
from ptycho_core.testing import scan_on_raster, simulated_scan


def codes(scan):
    return [caution.code for caution in scan_cautions(scan)]


@pytest.fixture
def sized():
    """64 patterns of a size that networks accept."""
    return np.random.default_rng(0).poisson(5.0, (64, 64, 64)).astype(np.uint16)


def test_overlap(sized):
    assert "little-overlap" not in codes(scan_on_raster(sized, step=11.0))  # 66 %
    assert "little-overlap" in codes(scan_on_raster(sized, step=20.0))
    assert "no-overlap" in codes(scan_on_raster(sized, step=40.0))
    assert codes(scan_on_raster(sized[:1]))[0] == "single-pattern"


def test_a_corner_centred_scan():
    y, x = np.mgrid[:64, :64] - 32
    centred = np.broadcast_to(1e3 * np.exp(-(x**2 + y**2) / 64), (64, 64, 64)).astype(np.uint16)
    assert "corner-centred" not in codes(scan_on_raster(centred))
    shifted = np.fft.ifftshift(centred, axes=(-2, -1))
    assert "corner-centred" in codes(scan_on_raster(shifted))


def test_few_photons(counts):
    assert "few-photons" in codes(scan_on_raster(counts))
    assert "few-photons" not in codes(scan_on_raster((counts * 100).astype(np.uint16)))


def test_doubts_are_logged_once_and_returned(sized, caplog):
    with caplog.at_level(logging.WARNING):
        found = check_scan(scan_on_raster(sized, step=40.0))
    assert [record.levelname for record in caplog.records] == ["WARNING"] * len(found)
    assert all(record.args[-1] == c.text for record, c in zip(caplog.records, found, strict=True))


def test_an_object_that_does_not_fit_is_refused(sized):
    scan = scan_on_raster(sized, step=1e7)
    (fatal,) = [caution for caution in scan_cautions(scan) if caution.fatal]
    assert fatal.code == "object-too-large"
    with pytest.raises(UnusableScanError):
        check_scan(scan)
    assert attrs.asdict(fatal) == fatal.to_dict()


@pytest.mark.parametrize("far", [3e5, 1e12, np.nan, -np.inf])
def test_a_position_far_away_is_named_before_anything_is_made(far):
    scan = simulated_scan()
    x, y = scan.xcoords.copy(), scan.ycoords.copy()
    x[11] = y[11] = far
    moved = attrs.evolve(scan, xcoords=x, ycoords=y)
    for refuse in (check_scan, require_near):
        with pytest.raises(UnusableScanError, match="number 11"):
            refuse(moved)


def test_a_scan_too_large_for_this_machine_may_be_converted(monkeypatch):
    monkeypatch.setattr("ptycho_physics.memory.free_memory", lambda: 1000.0)
    scan = simulated_scan()
    require_near(scan)
    with pytest.raises(UnusableScanError, match="GiB are free"):
        check_scan(scan)
