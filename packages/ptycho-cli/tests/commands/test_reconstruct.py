import json
import os
import signal

import h5py
import numpy as np
import pytest
from ptycho_core.outputs import RECONSTRUCTION_FILES
from ptycho_core.solving.attended import Attendance
from ptycho_data import PICTURE_FILES, load_reconstruction, load_scan, save_scan


def test_outputs(solved, scan_file):
    assert {path.name for path in solved.iterdir()} == set(RECONSTRUCTION_FILES)
    rec, scan = load_reconstruction(solved / "reconstruction.npz"), load_scan(scan_file)
    np.testing.assert_allclose(rec.positions + rec.origin, scan.positions)
    np.testing.assert_array_equal(rec.indices, np.arange(60))
    with h5py.File(solved / "product.h5") as file:
        np.testing.assert_array_equal(file["object"][0], rec.object)
    for name in PICTURE_FILES:
        assert (solved / name).stat().st_size > 10_000


def test_metrics_and_run(solved):
    metrics = json.loads((solved / "metrics.json").read_text())
    assert metrics["correlation"] > 0.99
    assert metrics["r_factor"] < metrics["r_factors"][-1] < 0.2
    assert len(metrics["r_factors"]) == 6
    run = json.loads((solved / "run.json").read_text())
    assert run["inputs"]["scan"]["name"] == "scan.npz"
    assert run["configuration"]["epochs"] == 6
    stages = {"read", "check", "solve", "evaluate", "write", "pictures", "report", "total"}
    assert run["timings_s"].keys() == stages
    assert run["cautions"] == []
    assert metrics["r_over_noise"] > 1
    assert run["patterns_per_second"] > 0
    assert "/" not in json.dumps({k: run[k] for k in ("inputs", "configuration")})


def test_one_of_several_scans(ptycho, edited, tmp_path):
    path = edited(scan_index=np.repeat([0, 1], [40, 20]))
    assert ptycho("reconstruct", path, "-o", tmp_path / "r").fails_with("--scan-index")
    command = ("reconstruct", path, "-o", tmp_path / "r", "--epochs", "1", "--scan-index")
    assert ptycho(*command, "1").code == 0
    assert len(load_reconstruction(tmp_path / "r" / "reconstruction.npz").indices) == 20
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert run["configuration"]["scan_index"] == 1
    assert ptycho(*command, "7", "--overwrite").code == 1
    shown = json.loads(ptycho("inspect", path, "--json").out)
    assert shown["scans"] == [0, 1]
    assert "several-scans" in {caution["code"] for caution in shown["cautions"]}
    assert json.loads(ptycho("inspect", path, "--json", "--scan-index", "1").out)["patterns"] == 20


def test_amplitudes_without_photons_reconstruct_the_same(ptycho, solved, amplitude_file, tmp_path):
    done = ptycho("reconstruct", amplitude_file, "-o", tmp_path / "r", "--epochs", "6")
    assert done.code == 0
    a = load_reconstruction(solved / "reconstruction.npz").object
    b = load_reconstruction(tmp_path / "r" / "reconstruction.npz").object
    assert np.abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b) > 0.9999


def test_probe_is_refined_on_request(ptycho, scan_file, tmp_path):
    scan = load_scan(scan_file)
    np.savez(tmp_path / "p.npz", probe=scan.probe * np.linspace(0.5, 1.5, 64, dtype=np.float32))
    factors = []
    for flags in ([], ["--update-probe"]):
        out = tmp_path / f"r{len(flags)}"
        args = ["--probe-file", tmp_path / "p.npz", "--epochs", "6", *flags]
        assert ptycho("reconstruct", scan_file, "-o", out, *args).code == 0
        factors.append(json.loads((out / "metrics.json").read_text())["r_factor"])
    assert factors[1] < 0.9 * factors[0]
    run = json.loads((out / "run.json").read_text())
    assert run["inputs"]["probe_file"]["name"] == "p.npz"


def test_refined_positions_and_modes_are_in_the_outputs(ptycho, scan_file, tmp_path):
    flags = ("--update-probe", "--modes", "2", "--refine-positions", "--epochs", "8")
    done = ptycho("reconstruct", scan_file, "-o", tmp_path / "r", *flags)
    assert done.code == 0
    rec, scan = load_reconstruction(tmp_path / "r" / "reconstruction.npz"), load_scan(scan_file)
    assert rec.probe.shape == (2, 64, 64)
    moved = rec.positions + rec.origin - scan.positions
    assert 0 < np.abs(moved).max() < 8
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    np.testing.assert_allclose(metrics["positions_moved_rms"], np.sqrt(np.mean(moved**2)))


def test_stops_at_a_plateau(ptycho, scan_file, tmp_path):
    options = ("--epochs", "60", "--tolerance", "0.02")
    done = ptycho("reconstruct", scan_file, "-o", tmp_path / "r", *options)
    assert done.code == 0
    assert "stopped at a plateau of the R-factor" in done.err
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert metrics["stopped"] == "plateau"
    assert len(metrics["r_factors"]) < 60


def test_modes_without_the_probe_are_a_usage_error(ptycho, scan_file, tmp_path):
    done = ptycho("reconstruct", scan_file, "-o", tmp_path / "r", "--modes", "2")
    assert done.code == 2
    assert done.fails_with("--modes", "--update-probe")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"diffraction": np.full((60, 64, 64), np.nan, np.float32)}, ("NaN",)),
        ({"diffraction": np.zeros((60, 64, 64), np.uint16)}, ("zero",)),
        ({"diffraction": None}, ("diffraction",)),
        ({"xcoords": np.zeros(7)}, ("xcoords",)),
        ({"probeGuess": np.ones((32, 32), np.complex64)}, ("probeGuess",)),
        ({"diffraction": np.full((60, 64, 64), 7.5), "domain": None, "_metadata": None},
         ("--domain",)),
    ],
)  # fmt: skip
def test_bad_scans_are_one_clear_line(ptycho, edited, tmp_path, changes, words):
    done = ptycho("reconstruct", edited(**changes), "-o", tmp_path / "r")
    assert done.code == 1
    assert done.fails_with("edited.npz", *words)


def test_refusals(ptycho, scan_file, solved, tmp_path):
    assert ptycho("reconstruct", tmp_path / "gone.npz", "-o", tmp_path / "r").code == 2
    assert not (tmp_path / "r").exists()
    again = ptycho("reconstruct", scan_file, "-o", solved)
    assert again.code == 3
    assert again.fails_with("--overwrite")
    assert ptycho("reconstruct", scan_file, "-o", scan_file).fails_with("is not a folder")
    assert ptycho("reconstruct", scan_file, "-o", tmp_path / "r", "--epochs", "0").code == 2


def test_overwrite(ptycho, scan_file, tmp_path):
    for flags in ([], ["--overwrite"]):
        args = ["-o", tmp_path / "r", "--epochs", "1", *flags]
        assert ptycho("reconstruct", scan_file, *args).code == 0


def test_results_are_not_lost_to_halves_that_cannot_be_made(ptycho, scan_file, tmp_path):
    save_scan(tmp_path / "one.npz", load_scan(scan_file).select([7]))
    args = ("-o", tmp_path / "r", "--epochs", "1", "--half-scan-frc")
    done = ptycho("reconstruct", tmp_path / "one.npz", *args)
    assert done.code == 0, done.err
    assert "warning: no half-scan FRC: " in done.err
    assert {path.name for path in (tmp_path / "r").iterdir()} == set(RECONSTRUCTION_FILES)
    assert json.loads((tmp_path / "r" / "metrics.json").read_text())["half_scan_frc"] is None


def test_resolution_from_two_halves(ptycho, scan_file, tmp_path):
    args = ["reconstruct", scan_file, "-o", tmp_path / "r", "--epochs", "4", "--half-scan-frc"]
    done = ptycho(*args)
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "r" / "metrics.json").read_text())["half_scan_frc"]
    assert found["patterns"] == [30, 30]
    assert (tmp_path / "r" / "half_scan_frc.png").is_file()
    assert f"resolution {found['resolution_half']:.2f} pixels" in done.out


def test_standard_errors_of_the_solver(ptycho, scan_file, tmp_path):
    args = ["reconstruct", scan_file, "-o", tmp_path / "r", "--epochs", "3", "--uncertainty"]
    done = ptycho(*args, "--no-pictures")
    assert done.code == 0, done.err
    told = json.loads((tmp_path / "r" / "metrics.json").read_text())["uncertainty"]
    assert f"uncertainty: phase +-{told['phase_median_rad']:.2g} rad" in done.out
    assert not (tmp_path / "r" / "uncertainty.png").exists()
    assert load_reconstruction(tmp_path / "r").phase_error is not None
    assert ptycho(*args, "--skip-done", "--no-pictures").code == 0
    assert ptycho(*args[:-1], "--skip-done").fails_with("uncertainty")


def test_a_limit_on_the_ratio_fails_the_run_after_writing(ptycho, scan_file, tmp_path):
    args = ["reconstruct", scan_file, "--epochs", "2", "--fail-above"]
    done = ptycho(*args, "1000", "-o", tmp_path / "good")
    assert done.code == 0
    assert "times photon noise alone" in done.out
    done = ptycho(*args, "0.1", "-o", tmp_path / "bad")
    assert done.code == 4
    assert "--fail-above" in done.err
    assert (tmp_path / "bad" / "reconstruction.npz").is_file()


def test_a_dry_run_says_what_is_needed_and_writes_nothing(ptycho, scan_file, tmp_path):
    done = ptycho("reconstruct", scan_file, "-o", tmp_path / "out", "--dry-run")
    assert done.code == 0
    assert "60 patterns of 64 pixels, 20 epochs" in done.out
    assert "memory: about" in done.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["scan.npz", "70000", "host.example:80", ""])
def test_a_page_has_an_address(ptycho, scan_file, tmp_path, address):
    done = ptycho("reconstruct", scan_file, "-o", tmp_path / "out", "--serve", address)
    assert done.code == 2
    assert done.fails_with("--serve")
    assert not (tmp_path / "out").exists()


def test_an_interrupt_keeps_the_result_and_resume_completes_it(
    ptycho, scan_file, solved, tmp_path, monkeypatch
):
    def interrupted(self, state):
        if len(state().r_factors) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return between(self, state)

    between = Attendance.between
    command = ("reconstruct", scan_file, "-o", tmp_path / "r", "--epochs", "6")
    with monkeypatch.context() as patched:
        patched.setattr(Attendance, "between", interrupted)
        ended = ptycho(*command)
    assert ended.code == 130
    assert "interrupted after epoch 2 of 6: continue with --resume" in ended.out
    assert json.loads((tmp_path / "r" / "run.json").read_text())["stopped"] == "interrupted"
    assert ptycho(*command).fails_with("--resume")
    assert ptycho(*command, "--resume").code == 0
    found, whole = load_reconstruction(tmp_path / "r"), load_reconstruction(solved)
    np.testing.assert_array_equal(found.object, whole.object)


def test_a_time_limit_is_no_error(ptycho, scan_file, tmp_path, monkeypatch):
    monkeypatch.setattr(Attendance, "between", _out_of_time)
    done = ptycho("reconstruct", scan_file, "-o", tmp_path / "r", "--max-time", "1e-6")
    assert done.code == 0
    assert "stopped by --max-time after epoch 1 of 20:" in done.out


def _out_of_time(self, state):
    self.stopped = "max_time" if state().r_factors else ""
    return bool(self.stopped)


def test_fly_scans(ptycho, scan_file, tmp_path):
    path = ["--exposure-path", "3", "-1"]
    options = ["--epochs", "1", "--no-pictures", "--no-report", *path]
    assert ptycho("reconstruct", scan_file, "-o", tmp_path / "r", *options).code == 0
    with np.load(tmp_path / "r" / "fitted.npz") as fitted:
        np.testing.assert_array_equal(fitted["exposure_path"][0], [3, -1])
    run = json.loads((tmp_path / "r" / "run.json").read_text())["configuration"]
    assert run["exposure_path"] == [3, -1]
    both = ptycho("reconstruct", scan_file, "-o", tmp_path / "s", "--fly-scan", "1", *path)
    assert both.code == 2
    assert both.fails_with("--fly-scan")


def test_a_coarse_detector_and_the_support_of_the_probe(ptycho, scan_file, tmp_path):
    options = ["--epochs", "4", "--no-pictures", "--no-report", "--update-probe"]
    options += ["--detector-sampling", "2", "--probe-support", "12"]
    assert ptycho("reconstruct", scan_file, "-o", tmp_path / "r", *options).code == 0
    with np.load(tmp_path / "r" / "reconstruction.npz") as file, np.load(scan_file) as scan:
        assert file["probe"].shape[-1] == 2 * scan["probeGuess"].shape[-1]
    run = json.loads((tmp_path / "r" / "run.json").read_text())["configuration"]
    assert (run["detector_sampling"], run["probe_support"]) == (2, 12)
    stays = ptycho("reconstruct", scan_file, "-o", tmp_path / "s", "--probe-support", "12")
    assert stays.code == 2
    assert stays.fails_with("--update-probe")


def test_switches_of_the_solver(ptycho, scan_file, tmp_path):
    switches = ["--refine-light", "--background", "scaled", "--saturation", "1e6"]
    switches += ["--held-out", "0.1"]
    done = ptycho("reconstruct", scan_file, "-o", tmp_path / "r", "--epochs", "3", *switches)
    assert done.code == 0
    assert "held out: 6 patterns, R-factor" in done.out + done.err
    run = json.loads((tmp_path / "r" / "run.json").read_text())["configuration"]
    assert (run["refine_light"], run["background"], run["held_out"]) == (True, "scaled", 0.1)
    assert set(np.load(tmp_path / "r" / "fitted.npz")) > {"light", "background_share"}
    assert ptycho("reconstruct", scan_file, "-o", tmp_path / "s", "--held-out", "0.7").code == 2
