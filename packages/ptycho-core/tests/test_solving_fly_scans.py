"""Fly scans: from the settings of a run to the solver, the verdict, and the halves of a scan."""

import numpy as np
import pytest
from attrs import evolve
from ptycho_config.errors import InvalidValueError
from ptycho_core.solving.call import solve_scan
from ptycho_core.solving.fly_scan import path_of
from ptycho_core.solving.run import SolverRun
from ptycho_data import Scan
from ptycho_physics import (
    defocused_probe,
    exposure_path,
    extract_patches,
    intensity,
    random_cells,
    smeared_probe,
    snake_scan,
)
from scipy.ndimage import gaussian_filter

STEP = 4.0


@pytest.fixture(scope="module")
def scan():
    """A stage that flies along lines and never stops counting."""
    truth = gaussian_filter(random_cells((76, 80), radius=(4, 9), seed=2), 1.0)
    probe = defocused_probe(32)
    positions = snake_scan(truth.shape, 32, step=STEP, jitter=0.2, seed=1)
    probes = smeared_probe(probe, exposure_path(positions), points=12)
    rates = intensity(extract_patches(truth, positions, 32), probes)
    counts = np.random.default_rng(0).poisson(rates * 1e6 / rates.sum((1, 2)).mean())
    return Scan(
        diffraction=counts.astype(np.uint32),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
        object_guess=truth.astype(np.complex64),
    )


def test_the_path_explains_a_fly_scan(scan, tmp_path):
    still = solve_scan(scan, epochs=12)
    flown = solve_scan(
        scan, epochs=12, fly_scan=1.0, half_scan_frc=True, pictures=False, output=tmp_path / "r"
    )
    # the verdict knows the path as well
    assert flown.verdict.ratio < min(1.2, 0.8 * still.verdict.ratio)
    assert flown.metrics["half_scan_frc"] is not None
    with np.load(tmp_path / "r" / "fitted.npz") as file:
        np.testing.assert_allclose(np.abs(file["exposure_path"][:, 0]), STEP, atol=1)


def test_each_half_has_its_own_paths(scan, monkeypatch):
    seen = []

    def solve(counts, positions, probe, **options):  # noqa: ARG001 - what the solver takes
        seen.append((len(counts), options["exposure_path"]))
        raise KeyboardInterrupt

    run = SolverRun(scan=scan, settings={"epochs": 1, "fly_scan": 0.5})
    path = path_of(run.settings, scan)
    work = run._work(run._place(scan), None, None, path)
    monkeypatch.setattr("ptycho_core.solving.work.solve", solve)
    part = np.arange(1, scan.n, 3)
    work = evolve(
        work,
        optics=type("Thin", (), {"arguments": staticmethod(dict)}),
        attendance=type("Alone", (), {"interrupts": None}),
    )
    with pytest.raises(KeyboardInterrupt):
        work._afresh(scan.select(part), part, "half")
    ((number, given),) = seen
    assert number == len(part)
    np.testing.assert_array_equal(given, path[part])


def test_one_path_is_that_of_all(scan):
    path = path_of({"exposure_path": [3.0, 1.0]}, scan)
    np.testing.assert_array_equal(path, np.tile([3.0, 1.0], (scan.n, 1)))
    assert path_of({}, scan) is None


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"fly_scan": 1.0, "exposure_path": [1.0, 0.0]}, "fly_scan"),
        ({"fly_scan": 1.5}, "fly_scan"),
        ({"fly_scan": 1.0, "near_field": 0.1}, "fly_scan"),
        ({"exposure_path": [1.0, 0.0], "slices": 2, "slice_thickness_m": 1e-6}, "exposure_path"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(scan, settings, name):
    with pytest.raises(InvalidValueError) as caught:
        SolverRun(scan=scan, settings={"epochs": 1, **settings}).check()
    assert caught.value.name == name


def test_scattered_positions_are_no_fly_scan(scan):
    order = np.random.default_rng(0).permutation(scan.n)
    with pytest.raises(InvalidValueError) as caught:
        solve_scan(scan.select(order), epochs=1, fly_scan=1.0)
    assert caught.value.name == "positions"
