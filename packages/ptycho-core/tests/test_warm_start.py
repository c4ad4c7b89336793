"""The solver goes on from results, wherever their object lies on the scan."""

import json

import numpy as np
import pytest
from attrs import evolve
from ptycho_config.errors import InvalidValueError
from ptycho_core.solving.call import solve_scan
from ptycho_core.solving.warm_start import warm_start
from ptycho_core.testing import simulated_scan
from ptycho_data import (
    ReconstructionError,
    load_reconstruction,
    save_product,
    save_reconstruction,
    save_scan,
)
from ptycho_physics.probe_sampling import resample_image, resample_probe

PIXEL = 10e-9
OPTIONS = {"progress": False, "pictures": False}


@pytest.fixture(scope="module")
def scan():
    return evolve(simulated_scan(40), pixel_size_m=PIXEL, origin_m=(1e-3, -2e-3))


@pytest.fixture(scope="module")
def first(scan, tmp_path_factory):
    """A result with refined probe and positions."""
    out = tmp_path_factory.mktemp("first") / "r"
    more = {"update_probe": True, "refine_positions": True, "position_start": 2}
    return solve_scan(scan, output=out, epochs=10, **more, **OPTIONS)


def moved(scan, x, y):
    """The scan with positions that count from another place."""
    place = (scan.origin_m[0] - x * PIXEL, scan.origin_m[1] - y * PIXEL)
    return evolve(scan, xcoords=scan.xcoords + x, ycoords=scan.ycoords + y, origin_m=place)


@pytest.mark.parametrize("name", ["", "reconstruction.npz", "product.h5"])
def test_a_run_goes_on_where_the_result_ended(scan, first, tmp_path, name):
    cold = solve_scan(scan, epochs=1, **OPTIONS)
    result = solve_scan(
        scan, start=first.path / name, output=tmp_path / "r", epochs=1, update_probe=True, **OPTIONS
    )
    assert result.r_factors[0] < 1.02 * first.r_factors[-1] < 0.6 * cold.r_factors[0]
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert run["inputs"]["start"]["sha256"]
    assert run["start"]["positions"] == "of the result"
    rec, before = result.reconstruction, first.reconstruction
    np.testing.assert_allclose(rec.positions + rec.origin, before.positions + before.origin)


@pytest.mark.parametrize(("x", "y", "bound"), [(7, -3, 1e-6), (7.5, -3.25, 0.02)])
def test_an_object_is_laid_by_its_place_on_the_stage(scan, first, x, y, bound):
    other = moved(scan, x, y)
    start = warm_start(first.path, other)
    assert start.record["shift_pixels"] == pytest.approx([x, y])
    rec, before = start.reconstruction, first.reconstruction
    np.testing.assert_allclose(
        rec.positions + rec.origin - [x, y], before.positions + before.origin, atol=1e-6
    )
    result = solve_scan(other, start=first.path, epochs=1, **OPTIONS)
    again = solve_scan(scan, start=first.path, epochs=1, **OPTIONS)
    assert result.r_factors[0] == pytest.approx(again.r_factors[0], abs=bound)


def test_pixels_of_another_size_are_resampled(scan, first, tmp_path):
    rec = first.reconstruction
    height, width = rec.object.shape
    finer = evolve(
        rec,
        object=resample_image(rec.object, (2 * height, 2 * width), first=(0, 0), step=0.5),
        coverage=np.ones((2 * height, 2 * width)),
        probe=resample_probe(rec.probe, 128, scale=0.5),
        xcoords=2 * rec.xcoords,
        ycoords=2 * rec.ycoords,
        origin=2 * rec.origin,
        pixel_size_m=PIXEL / 2,
    )
    path = save_reconstruction(tmp_path / "finer.npz", finer)
    start = warm_start(path, scan)
    assert start.record["pixel_over_that_of_scan"] == pytest.approx(0.5)
    inner = np.s_[24:-24, 24:-24]
    error = start.reconstruction.object[inner] - rec.object[inner]
    assert np.sqrt(np.mean(np.abs(error) ** 2)) < 0.02
    result = solve_scan(scan, start=path, epochs=1, **OPTIONS)
    assert result.r_factors[0] < 1.1 * first.r_factor


def test_positions_of_another_scan_are_not_taken(scan, first):
    """A second scan of the same place: its own positions, and the object of the first."""
    part = scan.select(np.arange(0, scan.n, 2))
    start = warm_start(first.path, part)
    assert start.record["positions"] == "of the scan"
    rec = start.reconstruction
    np.testing.assert_allclose(rec.positions + rec.origin, part.positions)
    result = solve_scan(part, start=first.path, epochs=1, **OPTIONS)
    assert result.r_factors[0] < 1.2 * first.r_factor


def test_a_result_of_some_patterns_gives_their_positions(scan, first, tmp_path):
    rec = first.reconstruction
    few = np.arange(0, scan.n, 3)
    part = evolve(rec, xcoords=rec.xcoords[few], ycoords=rec.ycoords[few], indices=few)
    start = warm_start(save_reconstruction(tmp_path / "few.npz", part), scan).reconstruction
    found, refined = start.positions + start.origin, rec.positions + rec.origin
    np.testing.assert_allclose(found[few], refined[few])
    others = np.setdiff1d(np.arange(scan.n), few)
    np.testing.assert_allclose(found[others], scan.positions[others])


def test_a_given_probe_is_kept(scan, first, tmp_path):
    other = scan.probe * np.linspace(0.9, 1.1, 64, dtype=np.float32)
    np.savez(tmp_path / "probe.npz", probe=other)
    save_scan(tmp_path / "scan.npz", scan)
    result = solve_scan(
        tmp_path / "scan.npz",
        start=first.path,
        probe_file=tmp_path / "probe.npz",
        epochs=1,
        **OPTIONS,
    )
    kept = result.reconstruction.probe
    np.testing.assert_allclose(kept, other / np.linalg.norm(other), atol=1e-6)


def test_what_does_not_fit_is_refused(scan, first, tmp_path):
    unknown = evolve(moved(scan, 30, 0), origin_m=None)
    with pytest.raises(InvalidValueError, match="at a known place on the stage"):
        warm_start(first.path, unknown)
    with pytest.raises(InvalidValueError, match="under at least half of the scan"):
        warm_start(first.path, evolve(scan, origin_m=(1e-3 + 300 * PIXEL, -2e-3)))
    dark = evolve(first.reconstruction, object=np.zeros_like(first.reconstruction.object))
    save_reconstruction(tmp_path / "dark.npz", dark)
    with pytest.raises(InvalidValueError, match="object must be nonzero where the probe shines"):
        solve_scan(scan, start=tmp_path / "dark.npz", **OPTIONS)
    np.save(tmp_path / "probe.npy", scan.probe)
    with pytest.raises(InvalidValueError, match="take a probe alone with --first-probe"):
        warm_start(tmp_path / "probe.npy", scan)
    damaged = tmp_path / "reconstruction.npz"
    rec = load_reconstruction(first.path)
    arrays = {name: getattr(rec, name) for name in ("object", "coverage", "origin", "probe")}
    np.savez(damaged, **arrays)
    with pytest.raises(ReconstructionError, match="xcoords"):
        warm_start(damaged, scan)


def test_a_product_without_positions_of_the_scan_lies_by_its_metres(scan, first, tmp_path):
    rec = first.reconstruction
    few = evolve(rec, xcoords=rec.xcoords[:5], ycoords=rec.ycoords[:5], indices=np.arange(5))
    path = save_product(tmp_path / "product.h5", few)
    start = warm_start(path, scan)
    inner = np.s_[24:-24, 24:-24]
    np.testing.assert_allclose(start.reconstruction.object[inner], rec.object[inner], atol=1e-3)
