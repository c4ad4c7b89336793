import attrs
import numpy as np
import pytest
from ptycho_core.cautions import ScanFacts
from ptycho_data import Scan
from ptycho_physics import objects, probes, scans, simulate_counts

N = 64
PROBES = {
    "disk": probes.disk_probe(N),
    "wide disk, curved": probes.disk_probe(N, 44, curvature=24),
    "gaussian": probes.gaussian_probe(N, 8),
    "defocused": probes.defocused_probe(N),
    "defocused, wide cone": probes.defocused_probe(N, aperture=0.75),
    "focused": probes.defocused_probe(N, 0),
    "whole patch": np.ones((1, N, N), np.complex64) / N,
}
OBJECTS = {
    "random": objects.random_cells((112, 112), seed=1),
    "siemens": objects.siemens_star((112, 112)),
    "vacuum": np.ones((112, 112), np.complex64),
}


def scan_of(counts, **more):
    n = len(counts)
    return Scan(
        diffraction=counts,
        xcoords=np.arange(n) * 2.0,
        ycoords=np.zeros(n),
        probe=PROBES["disk"] if counts.shape[-1] == N else np.ones((1, *counts.shape[-2:]), "c8"),
        domain=more.pop("domain", "counts"),
        **more,
    )


def simulated(probe, thing="random", photons=1e5):
    positions = scans.random_scan((112, 112), N, number=12, seed=0)
    return simulate_counts(OBJECTS[thing], PROBES[probe], positions, photons, 0)


def corner_centred(counts):
    return np.fft.ifftshift(counts, axes=(-2, -1))


def is_corner_centred(counts, **more):
    return ScanFacts(scan_of(counts, **more)).regions.corner_centred


@pytest.mark.parametrize("photons", [1e2, 1e6])
@pytest.mark.parametrize("thing", OBJECTS)
@pytest.mark.parametrize("probe", PROBES)
def test_centred_patterns_are_never_is_corner_centred(probe, thing, photons):
    assert not is_corner_centred(simulated(probe, thing, photons))


@pytest.mark.parametrize("photons", [1e2, 1e6])
@pytest.mark.parametrize("thing", ["random", "siemens"])
@pytest.mark.parametrize("probe", [name for name in PROBES if name != "whole patch"])
def test_cornered_patterns_are_is_corner_centred(probe, thing, photons):
    assert is_corner_centred(corner_centred(simulated(probe, thing, photons)))


def test_a_shift_of_some_pixels_changes_nothing():
    counts = simulated("defocused")
    moved = np.roll(counts, (4, -3), axis=(-2, -1))
    assert not is_corner_centred(moved)
    assert is_corner_centred(corner_centred(moved))


def test_one_shifted_axis_not_reported():
    assert not is_corner_centred(np.fft.ifftshift(simulated("disk"), axes=-1))


@pytest.mark.parametrize("probe", ["disk", "defocused", "wide disk, curved"])
@pytest.mark.parametrize("radius", [3, 10, 20, 28])
@pytest.mark.parametrize("marked", [False, True])
def test_beamstops_are_not_is_corner_centred(probe, radius, marked):
    counts = simulated(probe, photons=1e7)
    y, x = np.mgrid[:N, :N] - N // 2
    stop = np.hypot(x, y) < radius
    counts[:, stop] = 0
    regions = ScanFacts(scan_of(counts, bad_pixels=stop if marked else None)).regions
    assert regions is None or not regions.corner_centred
    if radius < 10:
        shifted = np.fft.ifftshift(stop)
        assert is_corner_centred(corner_centred(counts), bad_pixels=shifted if marked else None)


def test_flat_patterns_and_backgrounds():
    flat = np.full((8, N, N), 7.0, np.float32)
    regions = ScanFacts(scan_of(flat)).regions
    assert (regions.centre, regions.corners, regions.between) == pytest.approx((1, 1, 1))
    assert not regions.corner_centred
    rng = np.random.default_rng(0)
    assert not any(is_corner_centred(rng.poisson(rate, (8, N, N))) for rate in (0.003, 0.1, 5))


def test_hot_pixels_and_bad_pixels():
    counts = simulated("disk", photons=1e4)
    counts[:, 2, 3] = 1e9
    assert not is_corner_centred(counts)
    bad = np.zeros((N, N), bool)
    bad[2, 3] = bad[60, 60] = bad[1, 62] = bad[61, 2] = True
    counts[:, bad] = 1e9
    assert is_corner_centred(counts)  # indistinguishable without the mask
    assert not is_corner_centred(counts, bad_pixels=bad)


def test_intensities_are_relative_to_the_whole_pattern():
    counts = np.zeros((1, 8, 8), np.float32)
    counts[0, 0, 0] = 3
    counts[0, 4, 4] = 1
    regions = ScanFacts(scan_of(counts)).regions
    assert attrs.asdict(regions) == {
        "centre": pytest.approx(1.0),  # 1 of 4 photons in a quarter of the area
        "corners": pytest.approx(3.0),
        "between": 0.0,
        "corner_centred": False,
    }
    assert all(type(value) in (float, bool) for value in attrs.asdict(regions).values())


def test_amplitudes_are_squared():
    counts = corner_centred(simulated("disk"))
    amplitude = np.sqrt(counts / counts.max()).astype(np.float32)
    expected = ScanFacts(scan_of(counts)).regions
    regions = ScanFacts(scan_of(amplitude, domain="amplitude")).regions
    assert regions.corner_centred
    assert regions.corners == pytest.approx(expected.corners, rel=1e-5)


def test_dark_patterns_and_masked_centres_have_no_result():
    assert ScanFacts(scan_of(np.zeros((3, N, N), np.float32))).regions is None
    bad = np.zeros((N, N), bool)
    bad[16:48, 16:48] = True
    assert ScanFacts(scan_of(simulated("disk"), bad_pixels=bad)).regions is None


@pytest.mark.parametrize("size", [8, 9, 65])
def test_other_sizes(size):
    y, x = np.mgrid[:size, :size] - size // 2
    counts = np.exp(-(x**2 + y**2) / (size / 8) ** 2)[None].astype(np.float32) * 100
    assert not is_corner_centred(counts)
    assert is_corner_centred(corner_centred(counts))
