"""Tests of `ptycho_core.scan_estimate`."""

import numpy as np
import pytest
from ptycho_core import scan_estimate
from ptycho_core.scan_estimate import ScanEstimate, estimate_epochs
from ptycho_data import Scan
from ptycho_physics import (
    Solution,
    defocused_probe,
    extract_patches,
    fermat_scan,
    probe_weight,
    random_cells,
    simulate_counts,
    solve,
)

N = 32


@pytest.fixture(scope="module")
def scan() -> Scan:
    """Simulate 150 bright patterns."""
    object_, probe = random_cells((90, 100), seed=1), defocused_probe(N)
    positions = fermat_scan(object_.shape, N, number=150)
    counts = simulate_counts(object_, probe, positions, photons=1e6, seed=0)
    return Scan(
        diffraction=counts,
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        object_guess=object_,
        domain="counts",
    )


def agreement(start: np.ndarray, scan: Scan, indices: np.ndarray) -> float:
    """Correlation with the true patches, weighted by the light, after one global phase."""
    assert scan.object_guess is not None
    truth = np.asarray(extract_patches(scan.object_guess, scan.positions[indices], N))
    weight = probe_weight(scan.probe)
    products = (weight * start * truth.conj()).sum()
    norms = [(weight * np.abs(part) ** 2).sum() for part in (start, truth)]
    return float(abs(products) / np.sqrt(norms[0] * norms[1]))


def test_patches_are_those_of_the_object(scan: Scan) -> None:
    indices = np.arange(scan.n)
    found = ScanEstimate.of(scan, indices, scan.probe, photons=1e6)
    chosen = np.array([[3, 140], [77, 0]])
    start, light = found.patches(chosen)
    assert start.shape == light.shape == (2, 2, N, N)
    assert start.dtype == np.complex64
    assert light.dtype == np.float32
    assert agreement(start.reshape(-1, N, N), scan, chosen.reshape(-1)) > 0.97


def test_light_is_that_of_all_patterns(scan: Scan) -> None:
    """Every pattern adds unit power, so the light of one alone is that of its probe."""
    alone = ScanEstimate.of(scan, np.array([5]), scan.probe, photons=1e6)
    _, own = alone.patches(np.array([5]))
    assert own.sum() == pytest.approx(1, rel=0.01)
    _, of_all = ScanEstimate.of(scan, np.arange(scan.n), scan.probe, photons=1e6).patches(
        np.array([5])
    )
    assert (of_all >= own - 1e-6).all()
    assert of_all.sum() > 5


def test_a_large_scan_is_estimated_in_parts(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part has patterns of its own, at their own places."""
    monkeypatch.setattr(scan_estimate, "PART", 4 * N**2 * 60)
    indices = np.arange(1, scan.n)
    found = ScanEstimate.of(scan, indices, scan.probe, photons=1e6)
    assert len(found.parts) == 3
    assert found.part[0] == -1
    sizes = np.bincount(found.part[1:])
    assert sizes.max() <= 60
    for number in range(3):
        members = np.flatnonzero(found.part == number)
        assert agreement(found.patches(members)[0], scan, members) > 0.9


def test_patterns_in_memory_give_the_same(scan: Scan) -> None:
    indices = np.arange(scan.n)
    of_scan = ScanEstimate.of(scan, indices, scan.probe, photons=1e6).patches(indices)
    arrays = (scan.counts(indices), scan.positions, scan.probe)
    of_arrays = ScanEstimate.of_patterns(*arrays, photons=1e6).patches(indices)
    np.testing.assert_array_equal(of_scan[0], of_arrays[0])
    np.testing.assert_array_equal(of_scan[1], of_arrays[1])


def test_batches_go_on_from_those_before(scan: Scan) -> None:
    """The last of some batches agrees better with the truth, and knows all of the light."""
    batches = np.array_split(np.argsort(scan.ycoords), 6)
    found = None
    for rows in batches:
        arrays = (scan.counts(rows), scan.positions[rows], scan.probe)
        found = ScanEstimate.of_patterns(*arrays, photons=1e6, before=found)
        alone = ScanEstimate.of_patterns(*arrays, photons=1e6)
        own = np.arange(len(rows))
    assert found is not None
    last = batches[-1]
    assert agreement(found.patches(own)[0], scan, last) > 0.95
    everything = np.concatenate(batches)
    whole = ScanEstimate(
        positions=scan.positions, N=N, part=np.zeros(scan.n, np.int64), parts=found.parts
    )
    first = batches[0]
    assert agreement(whole.patches(first)[0], scan, first) > 0.9  # kept as it was
    assert agreement(whole.patches(everything)[0], scan, everything) > 0.9  # in one phase
    assert (found.patches(own)[1].sum(axis=(1, 2)) > alone.patches(own)[1].sum(axis=(1, 2))).all()
    light = ScanEstimate.of(scan, np.arange(scan.n), scan.probe, photons=1e6).patches(last)[1]
    np.testing.assert_allclose(found.patches(own)[1], light, rtol=1e-3, atol=1e-6)


def test_a_batch_far_away_starts_anew(scan: Scan) -> None:
    rows = np.arange(40)
    arrays = (scan.counts(rows), scan.positions[rows], scan.probe)
    first = ScanEstimate.of_patterns(*arrays, photons=1e6)
    moved = (arrays[0], arrays[1] + 500.0, arrays[2])
    second = ScanEstimate.of_patterns(*moved, photons=1e6, before=first)
    np.testing.assert_allclose(first.patches(rows)[0], second.patches(rows)[0], atol=1e-3)


def test_short_scans_need_more_epochs() -> None:
    epochs = [estimate_epochs(patterns) for patterns in (1, 80, 160, 800, 10**6)]
    assert epochs == [200, 40, 20, 8, 8]


@pytest.mark.parametrize(("curvature", "expected"), [(0.0, [40]), (0.16, [40, 120])])
def test_a_scan_that_has_not_converged_gets_more_epochs(
    monkeypatch: pytest.MonkeyPatch, curvature: float, expected: list[int]
) -> None:
    """Under a strongly divergent beam the slow phases come late."""
    y, x = np.mgrid[:N, :N] - N // 2
    beam = np.exp(-(x**2 + y**2) / 40) * np.exp(1j * curvature * (x**2 + y**2))
    probe = beam[None].astype(np.complex64)
    object_ = random_cells((80, 80), seed=1)
    positions = fermat_scan(object_.shape, N, number=80)
    counts = simulate_counts(object_, probe, positions, photons=1e6, seed=0)
    epochs = []

    def counted(*arrays: object, **settings: object) -> Solution:
        epochs.append(settings["epochs"])
        return solve(*arrays, **settings)

    monkeypatch.setattr(scan_estimate, "solve", counted)
    ScanEstimate.of_patterns(counts, positions, probe, photons=1e6)
    assert epochs == expected


def test_few_photons_get_more_epochs(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver averages over epochs there."""
    assert scan.object_guess is not None
    positions, probe = scan.positions, scan.probe
    counts = simulate_counts(scan.object_guess, probe, positions, photons=800, seed=0)
    indices = np.arange(len(positions))

    def error() -> float:
        found = ScanEstimate.of_patterns(counts, positions, probe, photons=800)
        return 1 - agreement(found.patches(indices)[0], scan, indices)

    averaged = error()
    monkeypatch.setattr(scan_estimate, "AVERAGED", 1)
    assert averaged < 0.9 * error()
