"""What is found on positions, on scans with one fault each, and on scans with none."""

import numpy as np
import pytest
from ptycho_core.analysis.inspection import inspect_scan
from ptycho_core.analysis.recommendation import recommend
from ptycho_core.analysis.scan_statistics import lit_diameter, overlap, probe_diameter
from ptycho_core.cautions import CHECKS, ScanFacts, positions
from ptycho_core.simulation_parts import SCANS
from ptycho_data import Scan
from ptycho_physics import defocused_probe, disk_probe, gaussian_probe

#: 33 pixels wide.
PROBE = disk_probe(64, 33.0)
LIGHT = np.zeros((64, 64), np.uint16)
LIGHT[24:40, 24:40] = 100


def raster(columns, rows, x=6.0, y=None):
    row, column = np.divmod(np.arange(columns * rows), columns)
    return np.stack([column * x, row * (x if y is None else y)], axis=1)


def scan_at(positions, probe=PROBE, **known):
    n, N = len(positions), probe.shape[-1]
    patterns = np.broadcast_to(LIGHT[:N, :N], (n, N, N))
    x, y = np.asarray(positions, np.float64).T
    return Scan(diffraction=patterns, xcoords=x, ycoords=y, probe=probe, domain="counts", **known)


def found(scan):
    """Cautions of positions by code; the patterns here are all alike."""
    facts = ScanFacts(scan)
    own = [check for check in CHECKS if check.__module__ == positions.__name__]
    return {caution.code: caution for check in own for caution in check(facts)}


def jittered(points, size=0.05):
    return points + np.random.default_rng(0).normal(scale=size, size=points.shape)


@pytest.mark.parametrize("pattern", SCANS)
@pytest.mark.parametrize("probe", [PROBE, gaussian_probe(64), defocused_probe(64)])
@pytest.mark.parametrize("step", [0.15, 0.3])
def test_no_scan_pattern_is_doubted(pattern, probe, step):
    pitch = step * probe_diameter(probe)
    positions = SCANS[pattern]((190, 210), 64, step=pitch, jitter=0.3)
    assert found(scan_at(positions, probe)) == {}


@pytest.mark.parametrize(
    "positions",
    [
        raster(2, 2),
        raster(8, 1),
        raster(10, 10, 1.5),  # dense
        raster(10, 10, 3.0, 12.0),
        raster(8, 8, 6.3) + 4e7,
        raster(8, 8) + 2e5,  # whole numbers, which single precision holds
        (raster(8, 8, 6.3) + 1e3).astype(np.float32),
        raster(3, 1, 8.0),
    ],
)
def test_unusual_scans_are_not_doubted(positions):
    assert found(scan_at(positions)) == {}


@pytest.mark.parametrize("unit", [50e-3, 50e-6, 50e-9, 20e-6, 0.1])
@pytest.mark.parametrize("offset", [0.0, 0.05])
def test_positions_in_another_unit(unit, offset):
    # In micrometres, millimetres and metres for pixels of 50 nm; on an optical bench; larger ones.
    scan = scan_at(raster(10, 10, 8.0) * unit + offset, pixel_size_m=50e-9)
    caution = found(scan)["position-unit"]
    assert caution.measured["span"] == pytest.approx(np.hypot(72, 72) * unit, rel=0.5)
    assert caution.measured["step"] == pytest.approx(8 * unit)
    advice = recommend(scan, inspect_scan(scan))
    assert advice.command is None
    assert advice.problems == [caution.text]


def test_all_at_one_place():
    assert set(found(scan_at(np.full((20, 2), 3.0)))) == {"one-place"}


def test_rows_far_apart_are_not_joined_by_the_overlap_within_them():
    scan = scan_at(raster(20, 5, 3.0, 60.0))
    measured = found(scan)["disconnected"].measured
    assert measured["parts"] == 5
    assert measured["gap"] == pytest.approx(60)
    assert measured["largest_part"] == pytest.approx(0.2)
    assert overlap(scan).fraction == 0
    assert recommend(scan, inspect_scan(scan)).command is None


def test_parts_that_share_no_light():
    islands = np.concatenate([raster(10, 10), raster(3, 3) + np.array([200, 0])])
    scan = scan_at(islands)
    measured = found(scan)["disconnected"].measured
    assert (measured["parts"], measured["gap"]) == (2, pytest.approx(200 - 54))
    assert measured["largest_part"] == pytest.approx(100 / 109)
    assert recommend(scan, inspect_scan(scan)).command == "train"


@pytest.mark.parametrize("distance", [500.0, 1e9, 1e15])
@pytest.mark.parametrize("where", [0, 30])
def test_an_outlier_is_named(distance, where):
    points = np.insert(raster(8, 8), where, [distance, 20], axis=0)
    scan = scan_at(points)
    cautions = found(scan)
    measured = cautions["outlier"].measured
    assert measured["patterns"] == [where]
    assert measured["distances"] == pytest.approx([distance], rel=0.1)
    assert set(cautions) <= {"outlier", "object-too-large"}
    assert ("object-too-large" in cautions) == (distance > 1e6)
    assert overlap(scan).fraction == pytest.approx(1 - 6 / 33, abs=0.01)  # of the others


@pytest.mark.parametrize("size", [0.0, 0.05])
def test_repeated_exposures_are_one_place(size):
    scan = scan_at(jittered(np.repeat(raster(8, 8), 4, axis=0), size))
    assert found(scan)["repeated-exposures"].measured == {
        "places": 64, "most": 4, "patterns": 256,
    }  # fmt: skip
    measured, once = overlap(scan), overlap(scan_at(raster(8, 8)))
    assert measured.fraction == pytest.approx(once.fraction, abs=0.01)
    assert abs(measured.neighbours - once.neighbours) <= 2
    sparse = found(scan_at(np.repeat(raster(8, 8, 40.0), 4, axis=0)))
    assert set(sparse) == {"repeated-exposures", "no-overlap"}


def test_a_plane_folded_onto_a_line():
    folded = raster(8, 8) * [1, 0] + [0, 700]
    assert {"line", "repeated-exposures"} == set(found(scan_at(folded)))
    noisy = set(found(scan_at(jittered(folded, 0.1))))
    assert "line" in noisy
    assert "position-unit" not in noisy
    oblique = raster(8, 8)[:, :1] * [0.6, 0.8]
    assert found(scan_at(jittered(oblique)))["line"].measured["length"] == pytest.approx(42, abs=1)
    assert set(found(scan_at(raster(40, 1)))) == {"line"}


@pytest.mark.parametrize("offset", [1e6, 4e7])
def test_positions_rounded_by_single_precision(offset):
    scan = scan_at((raster(8, 8, 6.3) + offset).astype(np.float32))
    rounding = found(scan)["position-rounding"].measured["rounding"]
    assert rounding == np.spacing(np.float32(offset))


def test_several_scans_are_each_looked_at():
    positions = np.concatenate([raster(8, 8), raster(8, 8) + 0.4, raster(8, 8) * 1e-3])
    scan = scan_at(positions, scan_index=np.repeat([3, 4, 7], 64))
    cautions = found(scan)
    assert set(cautions) == {"several-scans", "position-unit"}
    assert cautions["several-scans"].measured == {"scans": 3, "patterns": [64, 64, 64]}
    assert cautions["position-unit"].measured["scans"] == [7]
    assert found(scan.single(3)) == {}


def test_nothing_is_said_about_the_overlap_of_a_guessed_probe():
    scan = scan_at(raster(8, 8, 10.0), disk_probe(64, 4.0), probe_made=True)
    assert set(found(scan)) == {"guessed-probe"}
    assert overlap(scan) is None
    advice = recommend(scan, inspect_scan(scan))
    assert (advice.command, advice.options) == ("reconstruct", {"update_probe": True})


@pytest.mark.parametrize("probe", [disk_probe(64, 20.0), np.roll(disk_probe(64, 20.0), 15, -1)])
def test_lit_diameter(probe):
    # A disk holds 90 % of its light in a circle of sqrt(.9) its diameter.
    assert lit_diameter(probe) == pytest.approx(20, abs=1)
    ring = disk_probe(64, 40.0) - disk_probe(64, 36.0) * (
        disk_probe(64, 40.0).max() / disk_probe(64, 36.0).max()
    )
    assert lit_diameter(ring) == pytest.approx(40, abs=3)
    assert probe_diameter(ring) < 25
