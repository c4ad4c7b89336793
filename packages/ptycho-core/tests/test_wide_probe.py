"""A detector too coarse for the probe: from the files of a run to its results, and back."""

import numpy as np
import pytest
from attrs import evolve
from ptycho_config.errors import InvalidValueError
from ptycho_core.live_page.snapshot import Snapshot
from ptycho_core.memory import of_solver
from ptycho_core.refinement import r_factor_at_best_scale
from ptycho_core.solving.call import solve_scan
from ptycho_core.solving.run import SolverRun
from ptycho_core.solving.wide_probe import wide_probe
from ptycho_data import Scan, load_reconstruction
from ptycho_physics import fermat_scan, random_cells, simulate_counts

N = 16
COARSE = {"detector_sampling": 2, "progress": False}
QUIET = {"pictures": False, "report": False}


def lens(size):
    q = np.arange(size) - size // 2
    pupil = np.hypot(q, q[:, None]) < size / 4
    spectrum = pupil * np.exp(-1j * np.pi * 44 * (q**2 + q[:, None] ** 2) / size**2)
    wave = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum)))
    return (wave / np.linalg.norm(wave))[None].astype(np.complex64)


@pytest.fixture(scope="module")
def wide():
    return lens(2 * N)


@pytest.fixture(scope="module")
def scan(wide):
    truth = random_cells((84, 88), radius=(4, 9), seed=3)
    positions = fermat_scan(truth.shape, 2 * N, number=140)
    counts = simulate_counts(truth, wide, positions, 1e6, 0, detector_sampling=2)
    bad = np.zeros((N, N), bool)
    bad[2, 3:7] = True
    return Scan(
        diffraction=counts.astype(np.uint32),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=wide[:, N // 2 : -N // 2, N // 2 : -N // 2],
        bad_pixels=bad,
        pixel_size_m=2e-8,
        domain="counts",
        object_guess=truth.astype(np.complex64),
    )


@pytest.fixture(scope="module")
def probe_file(wide, tmp_path_factory):
    path = tmp_path_factory.mktemp("probe") / "wide.npz"
    np.savez(path, probe=wide, pixel_size_m=2e-8)
    return path


def test_the_wide_probe_of_a_file_explains_the_patterns(scan, probe_file):
    narrow = solve_scan(scan, epochs=20, progress=False)
    for given in ({"probe_file": probe_file}, {"first_probe": str(probe_file)}):
        result = solve_scan(scan, epochs=20, **given, **COARSE)
        assert result.reconstruction.probe.shape == (1, 2 * N, 2 * N)
        assert result.verdict.ratio < 1.3
        assert result.metrics["correlation"] > 0.99
        assert narrow.verdict.ratio > 3 * result.verdict.ratio


def test_a_result_is_written_read_and_gone_on_with(scan, probe_file, tmp_path):
    first = solve_scan(
        scan,
        output=tmp_path / "first",
        epochs=10,
        probe_file=probe_file,
        half_scan_frc=True,
        uncertainty=True,
        **COARSE,
    )
    assert first.metrics["half_scan_frc"] is not None
    assert first.metrics["uncertainty"] is not None
    assert "pattern" in (tmp_path / "first" / "report.html").read_text("utf-8")
    rec = load_reconstruction(tmp_path / "first")
    assert rec.N == 2 * N
    with np.load(tmp_path / "first" / "fitted.npz") as file:
        assert file["detector_sampling"] == 2
    at_scale, _ = r_factor_at_best_scale(rec, scan.counts(), scan.bad_pixels)
    assert at_scale == pytest.approx(first.r_factor, rel=0.05)
    for file in ("reconstruction.npz", "product.h5"):
        start = tmp_path / "first" / file
        again = solve_scan(scan, start=start, epochs=3, **COARSE)
        assert again.r_factors[0] < 1.2 * first.r_factors[-1] < 0.5 * first.r_factors[0]


def test_an_interrupted_run_goes_on_with_the_same_bits(scan, probe_file, tmp_path):
    settings = {"update_probe": True, "probe_file": probe_file, **COARSE, **QUIET}
    whole = solve_scan(scan, epochs=6, **settings)

    def stop(epoch, _):
        if epoch == 3:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        solve_scan(scan, epochs=6, output=tmp_path / "run", callback=stop, **settings)
    resumed = solve_scan(scan, epochs=6, output=tmp_path / "run", resume=True, **settings)
    np.testing.assert_array_equal(resumed.reconstruction.object, whole.reconstruction.object)


def test_without_a_wide_probe_that_of_the_scan_grows(scan):
    result = solve_scan(scan, epochs=25, update_probe=True, **COARSE)
    narrow = solve_scan(scan, epochs=25, update_probe=True, progress=False)
    assert result.verdict.ratio < 0.5 * narrow.verdict.ratio
    assert result.metrics["correlation"] > 0.98


def test_memory_grows_with_the_waves(scan):
    once, twice = of_solver(scan), of_solver(scan, sampling=2)
    assert twice.parts["counts"] == once.parts["counts"]
    assert twice.parts["batch"] == 4 * once.parts["batch"]
    assert twice.parts["object"] > once.parts["object"]
    plan = SolverRun(scan=scan, settings={"epochs": 2, "detector_sampling": 2}).plan()
    assert any("memory" in line for line in plan)


def test_what_does_not_fit_is_refused(scan, tmp_path):
    path = tmp_path / "odd.npz"
    np.savez(path, probe=lens(24))
    with pytest.raises(InvalidValueError, match="32 x 32 like the waves, got 24 x 24"):
        solve_scan(scan, epochs=2, probe_file=path, **COARSE)
    with pytest.raises(InvalidValueError, match="left out with near_field"):
        solve_scan(scan, epochs=2, near_field=0.5, **COARSE)


def test_the_support_of_a_probe_needs_photons(scan):
    settings = {"update_probe": True, "probe_support": 9.0, "epochs": 2, "progress": False}
    amplitudes = np.sqrt(scan.diffraction / scan.diffraction.max()).astype(np.float32)
    unknown = evolve(scan, diffraction=amplitudes, domain="amplitude")
    with pytest.raises(InvalidValueError, match="probe_support must be given with counts"):
        solve_scan(unknown, **settings)
    stated = solve_scan(unknown, nphotons=1e6, **settings)
    counted = solve_scan(scan, **settings)
    np.testing.assert_allclose(stated.reconstruction.probe, counted.reconstruction.probe, atol=2e-3)


def test_optics_give_a_probe_of_the_size_of_the_waves(scan):
    lit = evolve(scan, photon_energy_ev=1e4)
    pinhole = wide_probe(lit, 2, first_probe="pinhole:diameter=0.4um")
    light = np.abs(pinhole[0]) ** 2
    assert pinhole.shape == (1, 2 * N, 2 * N)
    assert np.count_nonzero(light > 0.5 * light.max()) == pytest.approx(np.pi * 10**2, rel=0.1)
    assert wide_probe(lit, 1, first_probe="pinhole:diameter=0.4um") is None
    assert wide_probe(lit, 2, first_probe="auto") is None
    assert wide_probe(lit, 2) is None


def test_the_live_page_shows_patterns_of_the_detector(scan, probe_file):
    result = solve_scan(scan, epochs=10, probe_file=probe_file, **COARSE)
    counts = scan.counts(np.array([5]))[0]
    shown = Snapshot.of(result.reconstruction, 5, counts, scan.bad_pixels)
    assert shown.modelled.shape == (N, N)
    good = ~scan.bad_pixels
    misfit = np.abs(np.sqrt(shown.modelled) - np.sqrt(shown.measured))[good].sum()
    assert misfit < 0.1 * np.sqrt(shown.measured)[good].sum()
