import attrs
import numpy as np
import pytest
from ptycho_core.analysis import inspection, scan_statistics
from ptycho_core.analysis.centring import RegionIntensities
from ptycho_core.testing import scan_on_raster
from ptycho_data import _stack


def test_photons_of_counts(counts):
    photons = scan_statistics.photon_statistics(scan_on_raster(counts))
    totals = counts.sum(axis=(1, 2))
    assert photons.mean == pytest.approx(totals.mean())
    assert (photons.minimum, photons.maximum) == (totals.min(), totals.max())
    assert photons.median == pytest.approx(np.median(totals))


def test_photons_of_amplitudes_needs_a_scale(counts):
    amplitude = np.sqrt(counts).astype(np.float32)
    amplitude /= amplitude.max()
    assert scan_statistics.photon_statistics(scan_on_raster(amplitude, domain="amplitude")) is None
    photons = scan_statistics.photon_statistics(
        scan_on_raster(amplitude, domain="amplitude"), nphotons=1e5
    )
    assert photons.mean == pytest.approx(1e5)
    stated = scan_statistics.photon_statistics(
        scan_on_raster(amplitude, domain="amplitude", nphotons=2e5), nphotons=1e5
    )
    assert stated.mean == pytest.approx(2e5)


def test_saturation_of_clipped_counts(counts):
    assert not scan_statistics.saturation(scan_on_raster(counts)).suspected
    for limit in (900, 100):
        clipped = np.minimum(counts.astype(int) * 100, limit).astype(np.uint16)
        result = scan_statistics.saturation(scan_on_raster(clipped))
        assert result.suspected
        assert result.largest == limit
        assert result.pixels == np.sum(clipped == limit)
        assert result.patterns == np.sum((clipped == limit).any(axis=(1, 2)))


def test_one_pixel_at_the_limit_of_its_type_is_enough(counts):
    counts[5, 3, 3] = 65535
    result = scan_statistics.saturation(scan_on_raster(counts))
    assert (result.suspected, result.pixels, result.patterns) == (True, 1, 1)


def test_saturation_in_pieces_is_the_same(counts, monkeypatch):
    whole = scan_statistics.saturation(scan_on_raster(counts))
    monkeypatch.setattr(_stack, "BLOCK_BYTES", 3 * 32 * 32 * 2)
    assert scan_statistics.saturation(scan_on_raster(counts)) == whole


def test_probe_diameter_of_a_disk_is_exact():
    yy, xx = np.mgrid[:64, :64] - 32
    disk = (np.hypot(xx, yy) <= 12).astype(np.complex64)
    assert scan_statistics.probe_diameter(disk[None]) == pytest.approx(
        2 * np.sqrt(disk.real.sum() / np.pi)
    )
    assert scan_statistics.probe_diameter(3 * disk[None]) == scan_statistics.probe_diameter(
        disk[None]
    )


@pytest.mark.parametrize("step", [2.0, 4.0, 40.0])
def test_overlap(counts, step):
    scan = scan_on_raster(counts, step=step)
    measured = scan_statistics.overlap(scan)
    assert measured.step == pytest.approx(step)
    assert measured.fraction == pytest.approx(max(0, 1 - step / measured.diameter))
    assert (measured.neighbours > 0) == (step < measured.diameter)


def test_one_pattern_overlaps_nothing(counts):
    assert scan_statistics.overlap(scan_on_raster(counts[:1])) is None


def test_results_are_plain_values(counts):
    for part in (
        scan_statistics.overlap(scan_on_raster(counts)),
        scan_statistics.saturation(scan_on_raster(counts)),
    ):
        assert all(type(value) in (int, float, bool) for value in attrs.asdict(part).values())


def test_inspection_has_every_part(counts):
    scan = scan_on_raster(counts)
    inspected = inspection.inspect_scan(scan)
    assert inspected.photons == scan_statistics.photon_statistics(scan)
    assert inspected.saturation == scan_statistics.saturation(scan)
    assert inspected.overlap == scan_statistics.overlap(scan)
    assert isinstance(inspected.regions, RegionIntensities)


def test_centre_of_mass_leaves_bad_pixels_out():
    pattern = np.zeros((32, 32))
    pattern[18, 11] = pattern[18, 13] = 2.0
    pattern[0, 0] = 1e9
    good = pattern < 1e6
    assert scan_statistics.centre_of_mass(pattern, good) == (-4.0, 2.0)
    assert scan_statistics.centre_of_mass(0 * pattern, good) is None


def test_bad_pixels_do_not_saturate(counts):
    counts = counts.astype(np.uint32)
    counts[:, 3, 4] = 2**32 - 1
    bad = np.zeros((32, 32), bool)
    bad[3, 4] = True
    marked = attrs.evolve(scan_on_raster(counts), bad_pixels=bad)
    assert scan_statistics.saturation(marked).largest == counts[:, ~bad].max()
    assert not scan_statistics.saturation(marked).suspected


def test_equal_amplitudes_of_few_photons_are_no_plateau(counts):
    amplitude = np.sqrt(np.minimum(counts, 9)).astype(np.float32) / 3
    measured = scan_statistics.saturation(scan_on_raster(amplitude, domain="amplitude"))
    assert measured.pixels >= 10
    assert not measured.suspected
