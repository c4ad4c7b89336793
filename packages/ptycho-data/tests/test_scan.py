import numpy as np
import pytest
from attrs import evolve
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan, ScanFormatError, scan_from_arrays


@pytest.fixture
def make(contract_arrays):
    def scan(domain="counts", **changes):
        arrays = contract_arrays(domain=domain) | changes
        return scan_from_arrays({k: v for k, v in arrays.items() if v is not None})

    return scan


def test_sizes_positions_and_defaults():
    scan = Scan(
        diffraction=np.ones((3, 4, 4), np.uint8),
        xcoords=[1, 2, 3],
        ycoords=[4, 5, 6],
        probe=np.ones((4, 4), complex),
        domain="counts",
    )
    assert (scan.n, scan.N) == (3, 4)
    assert scan.probe.shape == (1, 4, 4)
    assert scan.probe.dtype == np.complex64
    np.testing.assert_array_equal(scan.positions, [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(scan.start_positions, scan.positions)
    assert scan.mean_photons() == 16


def test_contradictions_are_listed_together():
    with pytest.raises(ScanFormatError) as caught:
        Scan(
            diffraction=np.ones((4, 4, 3)),
            xcoords=np.arange(3),
            ycoords=np.arange(4),
            probe=np.ones((5, 5), complex),
            domain="photons",
            nphotons=-1.0,
        )
    keys = {violation.key for violation in caught.value.violations}
    assert keys == {"diffraction", "ycoords", "probeGuess", "domain", "nphotons"}


@pytest.mark.parametrize("dtype", [np.uint8, ">u2", np.int64, np.float64])
def test_counts_are_the_patterns_with_bad_pixels_dark(make, dtype):
    scan = make(diffraction=make().diffraction.astype(dtype), domain="counts")
    counts = scan.counts([5, 2, 2])
    expected = np.where(scan.bad_pixels, 0, scan.diffraction[[5, 2, 2]])
    assert counts.dtype == np.float32
    np.testing.assert_array_equal(counts, expected)
    counts[:] = 0  # memory of its own
    assert scan.diffraction.any()
    assert scan.mean_photons() == pytest.approx(scan.counts().sum((1, 2)).mean())


def test_amplitudes_scale_to_the_stated_photons(make):
    scan = make("amplitude")
    counts = scan.counts(nphotons=7.0)  # the scan's own 1e5 wins
    assert counts.sum((1, 2), dtype=np.float64).mean() == pytest.approx(1e5)
    assert scan.mean_photons(7.0) == 1e5
    lit = counts[0] > 0
    ratio = counts[0][lit] / scan.diffraction[0][lit] ** 2
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_amplitudes_without_photons_need_the_argument(make):
    scan = make("amplitude", nphotons=None)
    assert scan.counts(nphotons=300.0).sum((1, 2)).mean() == pytest.approx(300)
    for call in (scan.counts, scan.mean_photons):
        with pytest.raises(ValueError, match="nphotons must be"):
            call()
    with pytest.raises(ValueError, match="got -1"):
        scan.mean_photons(-1.0)


def test_large_integer_amplitudes_do_not_overflow():
    stack = np.full((2, 4, 4), 60_000, np.uint16)
    scan = Scan(diffraction=stack, xcoords=[0, 1], ycoords=[0, 1], probe=np.ones((4, 4), complex),
                domain="amplitude", nphotons=16.0)  # fmt: skip
    np.testing.assert_allclose(scan.intensity_totals, 16 * 60_000.0**2)
    np.testing.assert_allclose(scan.counts(), 1.0)


@pytest.mark.parametrize("domain", ["counts", "amplitude"])
@pytest.mark.parametrize("indices", [[7, 1, 4], [2, 5, 8], slice(1, 9, 3), [3]])
def test_selection_keeps_counts(make, domain, indices):
    scan = make(domain)
    part = scan.select(indices)
    np.testing.assert_allclose(part.counts(), scan.counts(indices), rtol=1e-6)
    np.testing.assert_array_equal(part.positions, scan.positions[indices])
    np.testing.assert_array_equal(part.start_positions, scan.start_positions[indices])
    np.testing.assert_array_equal(part.scan_index, scan.scan_index[indices])
    np.testing.assert_array_equal(part.patches, scan.patches[indices])
    assert part.n == len(part.xcoords)


@pytest.mark.parametrize("domain", ["counts", "amplitude"])
def test_scans_of_a_file(make, domain):
    scan = make(domain)
    numbers = [0, 1, 2]
    assert scan.scan_numbers == numbers
    parts = scan.scans()
    assert [part.scan_numbers for part in parts] == [[k] for k in numbers]
    for k, part in zip(numbers, parts, strict=True):
        rows = np.flatnonzero(scan.scan_index == k)
        np.testing.assert_allclose(part.counts(), scan.counts(rows), rtol=1e-6)
        np.testing.assert_array_equal(scan.single(k).positions, scan.positions[rows])
    assert parts[0].scans() == [parts[0]]
    assert [part.label for part in parts] == ["the scan", "the scan, scan 1", "the scan, scan 2"]
    assert parts[1].single() is parts[1]
    for chosen in (None, 7):
        with pytest.raises(InvalidValueError):
            scan.single(chosen)
    unnumbered = evolve(scan, scan_index=None)
    assert unnumbered.single() is unnumbered.single(0) is unnumbered
    with pytest.raises(InvalidValueError):
        unnumbered.single(1)


def test_even_selection_is_a_view(make):
    scan = make()
    assert np.shares_memory(scan.select([0, 2, 4]).diffraction, scan.diffraction)
    assert not np.shares_memory(scan.select([0, 2, 3]).diffraction, scan.diffraction)
    np.testing.assert_array_equal(scan.select([-2, -1]).xcoords, scan.xcoords[-2:])


@pytest.mark.parametrize("indices", [[0.5], [[1, 2]], [True, False]])
def test_indices_must_be_whole_numbers(make, indices):
    with pytest.raises(ValueError, match="indices must be"):
        make().counts(indices)
