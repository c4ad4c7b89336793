import attrs
import numpy as np
import pytest
from ptycho_cli import centring
from ptycho_data import Scan, load_scan
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


def cornered(counts):
    return np.fft.ifftshift(counts, axes=(-2, -1))


def called(counts, **more):
    return centring.light_of(scan_of(counts, **more)).corner_centred


@pytest.mark.parametrize("photons", [1e2, 1e6])
@pytest.mark.parametrize("thing", OBJECTS)
@pytest.mark.parametrize("probe", PROBES)
def test_centred_patterns_are_never_called(probe, thing, photons):
    assert not called(simulated(probe, thing, photons))


@pytest.mark.parametrize("photons", [1e2, 1e6])
@pytest.mark.parametrize("thing", ["random", "siemens"])
@pytest.mark.parametrize("probe", PROBES.keys() - {"whole patch"})
def test_cornered_patterns_are_called(probe, thing, photons):
    assert called(cornered(simulated(probe, thing, photons)))


def test_a_shift_of_some_pixels_hides_nothing():
    counts = simulated("defocused")
    moved = np.roll(counts, (4, -3), axis=(-2, -1))
    assert not called(moved)
    assert called(cornered(moved))


def test_one_axis_alone_is_no_clear_case():
    assert not called(np.fft.ifftshift(simulated("disk"), axes=-1))


@pytest.mark.parametrize("probe", ["disk", "defocused", "wide disk, curved"])
@pytest.mark.parametrize("radius", [3, 10, 20, 28])
@pytest.mark.parametrize("marked", [False, True])
def test_beamstops_are_not_called(probe, radius, marked):
    counts = simulated(probe, photons=1e7)
    y, x = np.mgrid[:N, :N] - N // 2
    stop = np.hypot(x, y) < radius
    counts[:, stop] = 0
    light = centring.light_of(scan_of(counts, bad_pixels=stop if marked else None))
    assert light is None or not light.corner_centred
    if radius < 10:
        shifted = np.fft.ifftshift(stop)
        assert called(cornered(counts), bad_pixels=shifted if marked else None)


def test_flat_patterns_and_backgrounds():
    flat = np.full((8, N, N), 7.0, np.float32)
    light = centring.light_of(scan_of(flat))
    assert (light.centre, light.corners, light.between) == pytest.approx((1, 1, 1))
    assert not light.corner_centred
    rng = np.random.default_rng(0)
    assert not any(called(rng.poisson(rate, (8, N, N))) for rate in (0.003, 0.1, 5))


def test_hot_pixels_and_bad_pixels():
    counts = simulated("disk", photons=1e4)
    counts[:, 2, 3] = 1e9
    assert not called(counts)
    bad = np.zeros((N, N), bool)
    bad[2, 3] = bad[60, 60] = bad[1, 62] = bad[61, 2] = True
    counts[:, bad] = 1e9
    assert called(counts)  # nobody could tell
    assert not called(counts, bad_pixels=bad)


def test_figures_are_mean_light_relative_to_the_whole():
    counts = np.zeros((1, 8, 8), np.float32)
    counts[0, 0, 0] = 3
    counts[0, 4, 4] = 1
    light = centring.light_of(scan_of(counts))
    assert attrs.asdict(light) == {
        "centre": pytest.approx(1.0),  # 1 of 4 photons in a quarter of the area
        "corners": pytest.approx(3.0),
        "between": 0.0,
        "corner_centred": False,
    }
    assert all(type(value) in (float, bool) for value in attrs.asdict(light).values())


def test_amplitudes_are_squared():
    counts = cornered(simulated("disk"))
    amplitude = np.sqrt(counts / counts.max()).astype(np.float32)
    one = centring.light_of(scan_of(counts))
    other = centring.light_of(scan_of(amplitude, domain="amplitude"))
    assert other.corner_centred
    assert other.corners == pytest.approx(one.corners, rel=1e-5)


def test_nothing_to_see():
    assert centring.light_of(scan_of(np.zeros((3, N, N), np.float32))) is None
    bad = np.zeros((N, N), bool)
    bad[16:48, 16:48] = True
    assert centring.light_of(scan_of(simulated("disk"), bad_pixels=bad)) is None


@pytest.mark.parametrize("size", [8, 9, 65])
def test_other_sizes(size):
    y, x = np.mgrid[:size, :size] - size // 2
    counts = np.exp(-(x**2 + y**2) / (size / 8) ** 2)[None].astype(np.float32) * 100
    assert not called(counts)
    assert called(cornered(counts))


@pytest.fixture
def cornered_file(edited, scan_file):
    return edited("cornered.npz", diffraction=cornered(load_scan(scan_file).diffraction))


def warnings_of(done):
    return [line for line in done.err.splitlines() if line.startswith("warning: ")]


def test_every_command_that_reads_patterns_warns_in_one_line(
    ptycho, scan_file, cornered_file, tmp_path, stand_in
):
    model, result, solved = (tmp_path / name for name in ("model", "result", "solved"))
    for path, count in ((cornered_file, 1), (scan_file, 0)):
        for args in (
            ("train", path, "-o", model),
            ("infer", model, path, "-o", result),
            ("reconstruct", path, "-o", solved, "--epochs", "1"),
        ):
            done = ptycho(*args, "--overwrite", "-q")
            assert done.code == 0, done.err
            told = warnings_of(done)
            assert len(told) == count
            assert all("np.fft.fftshift over the last two axes" in line for line in told)
            assert all("cornered.npz" in line for line in told)
    # Told, not corrected.
    used = stand_in("training")[0]["scan"].diffraction
    np.testing.assert_array_equal(used, load_scan(cornered_file).diffraction)


def test_inspect_says_it_first(ptycho, scan_file, cornered_file):
    import json

    report = json.loads(ptycho("inspect", cornered_file, "--json").out)
    assert report["light"]["corner_centred"] is True
    assert "np.fft.fftshift" in report["suggestions"]["remarks"][0]
    assert "[32, 32]" in report["suggestions"]["remarks"][0]
    assert "note: the light sits in the corners" in ptycho("inspect", cornered_file).out
    report = json.loads(ptycho("inspect", scan_file, "--json").out)
    assert report["light"]["corner_centred"] is False
    assert "fftshift" not in ptycho("inspect", scan_file).out
