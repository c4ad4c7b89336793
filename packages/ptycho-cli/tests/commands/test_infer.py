import json
import sys

import numpy as np
import pytest
from attrs import evolve
from ptycho_config.install import install_command
from ptycho_core import pretrained
from ptycho_core.outputs import RECONSTRUCTION_FILES
from ptycho_data import load_bundle, load_reconstruction, load_scan, save_bundle, save_scan
from ptycho_physics import DivergenceError


@pytest.fixture
def model(ptycho, scan_file, tmp_path, stand_in):  # noqa: ARG001 - what it trains with
    folder = tmp_path / "model"
    args = ["--gridsize", "2", "--neighbor-count", "6"]
    assert ptycho("train", scan_file, "-o", folder, *args).code == 0
    return folder


def test_outputs(ptycho, model, scan_file, tmp_path):
    done = ptycho("infer", model, scan_file, "-o", tmp_path / "r")
    assert done.code == 0, done.err
    assert {path.name for path in (tmp_path / "r").iterdir()} == set(RECONSTRUCTION_FILES)
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert metrics["r_factor"] < 0.5
    assert metrics["correlation"] > 0.9
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert run["backend"] == "pytorch"
    before = {"load bundle", "read", "check"}
    stages = before | {"reconstruct", "evaluate", "write", "pictures", "report", "total"}
    assert run["timings_s"].keys() == stages
    assert run["patterns_per_second"] == 600
    assert run["inputs"]["model_path"]["name"] == "wts.h5.zip"
    assert "R-factor" in done.out
    assert "correlation" in done.out


def test_model_and_grouping_come_from_the_bundle(ptycho, model, scan_file, tmp_path, stand_in):
    assert ptycho("infer", model / "wts.h5.zip", scan_file, "-o", tmp_path / "r").code == 0
    call = stand_in.reconstructions[-1]
    assert call["config"].model.gridsize == 2
    assert call["config"].neighbor_count == 6
    assert call["config"].backend == "pytorch"
    assert call["execution"].accelerator == "auto"
    args = ["--neighbor-count", "5", "--inference-batch-size", "8", "--accelerator", "cpu"]
    assert ptycho("infer", model, scan_file, "-o", tmp_path / "r", *args, "--overwrite").code == 0
    call = stand_in.reconstructions[-1]
    assert call["config"].neighbor_count == 5
    assert call["execution"].inference_batch_size == 8
    assert call["execution"].accelerator == "cpu"


def test_the_architecture_can_only_be_that_of_the_bundle(ptycho, model, scan_file, tmp_path):
    args = ["infer", model, scan_file, "-o", tmp_path / "r", "--architecture"]
    assert ptycho(*args, "unrolled").code == 0
    done = ptycho(*args, "small_network:SmallNetwork", "--overwrite")
    assert done.code == 1
    assert "architecture must be that of the bundle, 'unrolled'" in done.err


def test_what_the_bundle_gave_is_said_to_be_its_own(ptycho, model, scan_file, tmp_path):
    args = ["infer", model, scan_file, "-o", tmp_path / "r"]
    done = ptycho(*args)
    said = {line.partition(": ")[0]: line for line in done.err.splitlines()}
    for setting in ("gridsize=2", "neighbor_count=6"):
        assert setting in said["settings from bundle"]
    assert "settings from command default" not in said
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert run["overrides_applied"]["neighbor_count"] == {"value": 6, "origin": "bundle"}
    # It stays a default: a configuration file is above it.
    (tmp_path / "c.toml").write_text("neighbor_count = 5\n")
    done = ptycho(*args, "--overwrite", "--config", tmp_path / "c.toml")
    assert "settings from config file: neighbor_count=5" in done.err


def test_scan_without_a_reference(ptycho, model, edited, tmp_path):
    assert ptycho("infer", model, edited(objectGuess=None), "-o", tmp_path / "r").code == 0
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert metrics.keys() == {"r_factor", "noise_r_factor", "r_over_noise"}


def test_refining_lowers_the_r_factor_and_tells_both(ptycho, model, scan_file, tmp_path):
    done = ptycho("infer", model, scan_file, "-o", tmp_path / "r", "--refine", "4")
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert metrics["r_factor"] < 0.8 * metrics["r_factor_network"]
    assert len(metrics["r_factors_refining"]) == 4
    assert metrics["correlation"] > 0.97
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert run["refinement"] == {"steps": 4, "probe": False, "positions": False}
    assert {run[name] == metrics[name] for name in ("r_factor", "r_factor_network")} == {True}
    assert "refine" in run["timings_s"]
    assert f"R-factor {metrics['r_factor']:.4f}" in done.out


def test_refining_the_probe_before_or_after_the_network(
    ptycho, model, scan_file, tmp_path, stand_in
):
    args = ["infer", model, scan_file, "-o", tmp_path / "r", "--refine-probe"]
    done = ptycho(*args)
    assert done.code == 0, done.err
    assert "refined the probe in" in done.err
    probe = load_reconstruction(tmp_path / "r" / "reconstruction.npz").probe
    np.testing.assert_array_equal(stand_in.reconstructions[-1]["probe"], probe)
    done = ptycho(*args, "--refine", "1", "--overwrite")
    assert done.code == 0, done.err
    assert "refined the probe in" not in done.err
    before = load_reconstruction(tmp_path / "r" / "reconstruction.npz").probe
    assert ptycho(*args, "--refine", "3", "--overwrite").code == 0
    after = load_reconstruction(tmp_path / "r" / "reconstruction.npz").probe
    assert abs(after - before).max() > 0
    args = ["infer", model, scan_file, "-o", tmp_path / "p", "--refine-positions"]
    assert ptycho(*args).fails_with("--refine-positions needs --refine STEPS")


def test_each_scan_gets_a_first_probe_of_its_own(ptycho, model, scan_file, tmp_path, stand_in):
    scan = load_scan(scan_file).select(range(24))
    blank = evolve(scan, probe=np.ones_like(scan.probe), probe_made=True)
    save_scan(tmp_path / "a.npz", blank)
    save_scan(tmp_path / "b.npz", evolve(blank, diffraction=np.flip(scan.diffraction, (1, 2))))
    args = ["infer", model, tmp_path / "a.npz", tmp_path / "b.npz", "-o", tmp_path / "r"]
    done = ptycho(*args, "--first-probe", "auto")
    assert done.code == 0, done.err
    first, second = (call["probe"] for call in stand_in.reconstructions[-2:])
    assert abs(first - second).max() > 0
    assert done.err.count("first probe from data") == 2
    for name, probe in (("a", first), ("b", second)):
        stored = load_reconstruction(tmp_path / "r" / name / "reconstruction.npz").probe
        np.testing.assert_allclose(stored, probe, rtol=1e-5, atol=1e-7)
    done = ptycho(*args, "--first-probe", "auto", "--skip-done")
    assert done.code == 0, done.err
    assert "2 skipped" in done.err + done.out
    assert ptycho(*args, "--skip-done").code != 0  # another probe was asked for


def test_a_first_probe_beside_the_file_of_one(ptycho, model, scan_file, tmp_path):
    args = ["infer", model, scan_file, "-o", tmp_path / "r", "--first-probe", "auto"]
    done = ptycho(*args, "--probe-file", scan_file)
    assert done.code == 2
    assert done.fails_with("first_probe must be given without probe_file, which it replaces")
    assert not (tmp_path / "r").exists()


def test_resolution_from_two_halves(ptycho, model, scan_file, tmp_path, stand_in):
    args = ["infer", model, scan_file, "-o", tmp_path / "r", "--half-scan-frc"]
    done = ptycho(*args)
    assert done.code == 0, done.err
    sizes = [call["scan"].n for call in stand_in.reconstructions]
    assert sizes == [60, 30, 30]
    found = json.loads((tmp_path / "r" / "metrics.json").read_text())["half_scan_frc"]
    assert found["patterns"] == [30, 30]
    assert len(found["frequency"]) == len(found["correlation"]) > 5
    assert found["correlation"][0] > 0.9
    assert (tmp_path / "r" / "half_scan_frc.png").stat().st_size > 5000
    assert f"resolution {found['resolution_half']:.2f} pixels" in done.out
    assert ptycho(*args).fails_with("exists already")


def test_standard_errors_by_an_ensemble_of_sub_scans(ptycho, model, scan_file, tmp_path, stand_in):
    args = ["infer", model, scan_file, "-o", tmp_path / "r", "--uncertainty"]
    done = ptycho(*args)
    assert done.code == 0, done.err
    sizes = [call["scan"].n for call in stand_in.reconstructions]
    assert sizes == [60, *[30] * 8, 60, 30, 30]  # the scan, eight halves, the simulated scan
    told = json.loads((tmp_path / "r" / "metrics.json").read_text())["uncertainty"]
    assert (told["calibrated"], told["splits"]) == (True, 4)
    assert f"phase +-{told['phase_median_rad']:.2g} rad" in done.out
    assert (tmp_path / "r" / "uncertainty.png").stat().st_size > 5000
    rec = load_reconstruction(tmp_path / "r")
    assert np.nanmin(rec.phase_error) > 0
    assert ptycho(*args[:-1], "--overwrite").code == 0
    assert not (tmp_path / "r" / "uncertainty.png").exists()
    assert load_reconstruction(tmp_path / "r").phase_error is None


def test_halves_need_no_other_process(ptycho, model, scan_file, tmp_path, stand_in):
    # Those that helped with the whole scan have ended when it is the halves' turn.
    args = ("--half-scan-frc", "--devices", "2", "--num-nodes", "2", "--strategy", "ddp")
    assert ptycho("infer", model, scan_file, "-o", tmp_path / "r", *args).code == 0
    runs = [call["execution"] for call in stand_in.reconstructions]
    assert [(run.devices, run.num_nodes) for run in runs] == [(2, 2), (1, 1), (1, 1)]
    assert [run.strategy for run in runs] == ["ddp", "auto", "auto"]


def test_results_are_not_lost_to_halves_that_cannot_be_made(ptycho, model, scan_file, tmp_path):
    save_scan(tmp_path / "one.npz", load_scan(scan_file).select([7]))
    args = ("-o", tmp_path / "r", "--half-scan-frc")
    done = ptycho("infer", model, tmp_path / "one.npz", *args)
    assert done.code == 0, done.err
    assert "warning: no half-scan FRC: " in done.err
    assert done.out.endswith("half-scan FRC: not available\n")
    assert {path.name for path in (tmp_path / "r").iterdir()} == set(RECONSTRUCTION_FILES)
    assert json.loads((tmp_path / "r" / "metrics.json").read_text())["half_scan_frc"] is None


def test_results_are_not_lost_to_a_refinement_that_fails(
    ptycho, model, scan_file, tmp_path, monkeypatch
):
    calls = []

    def diverging(rec, *_, **__):
        calls.append(rec)
        msg = "solver: diverged in epoch 3"
        raise DivergenceError(msg)

    monkeypatch.setattr("ptycho_core.reconstruction.work.refine", diverging)
    args = ("-o", tmp_path / "r", "--refine", "4", "--half-scan-frc")
    done = ptycho("infer", model, scan_file, *args)
    assert done.code == 1  # a script that goes on must know
    assert "warning: not refined; the results are those of the network: solver: dive" in done.err
    assert len(calls) == 1  # the halves are made as the whole was
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert metrics.keys() >= {"r_factor", "correlation", "half_scan_frc"}
    assert "r_factor_network" not in metrics
    assert metrics["half_scan_frc"]["patterns"] == [30, 30]
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert run["refinement"]["failed"] is True
    rec = load_reconstruction(tmp_path / "r" / "reconstruction.npz")
    np.testing.assert_array_equal(rec.object, calls[0].object)


def test_bundles_that_are_none(ptycho, model, scan_file, tmp_path, monkeypatch):
    out = ["-o", tmp_path / "r"]
    assert ptycho("infer", tmp_path / "gone", scan_file, *out).code == 2
    monkeypatch.setattr(pretrained, "_installed", dict)  # nothing stands in for a model
    assert ptycho("infer", scan_file, scan_file, *out).fails_with("MODEL")
    data = bytearray((model / "wts.h5.zip").read_bytes())
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    assert ptycho("infer", tmp_path / "cut.zip", scan_file, *out).fails_with("cut.zip")


def test_refusals(ptycho, model, scan_file, tmp_path):
    assert ptycho("infer", model, tmp_path / "gone.npz", "-o", tmp_path / "r").code == 2
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").touch()
    assert ptycho("infer", model, scan_file, "-o", tmp_path / "r").fails_with("run.json")
    assert ptycho("infer", model, scan_file, "-o", tmp_path / "n", "--backend", "jax").code == 2


def test_other_backend_is_asked_for_by_name(ptycho, model, scan_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    done = ptycho("infer", model, scan_file, "-o", tmp_path / "r", "--backend", "tensorflow")
    assert done.fails_with(install_command("ptycho-cli[tf]"))


def test_bundle_of_the_other_backend_names_it(ptycho, model, scan_file, tmp_path, monkeypatch):
    import attrs

    other = attrs.evolve(load_bundle(model), backend="tensorflow")
    save_bundle(tmp_path / "other.zip", other)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    done = ptycho("infer", tmp_path / "other.zip", scan_file, "-o", tmp_path / "r")
    assert done.fails_with("backend tensorflow is not installed")


def test_a_device_that_is_not_here_is_wrong_usage(ptycho, model, scan_file, tmp_path):
    done = ptycho("infer", model, scan_file, "-o", tmp_path / "r", "--accelerator", "tpu")
    assert done.code == 2
    assert done.err.splitlines()[0].startswith(
        "error: accelerator must be one of this machine, got 'tpu'"
    )


def test_a_dry_run_says_what_is_needed_and_writes_nothing(ptycho, model, scan_file, tmp_path):
    out = tmp_path / "out"
    for words in (("infer", model, scan_file), ("train", scan_file)):
        done = ptycho(*words, "-o", out, "--dry-run")
        assert done.code == 0, done.err
        assert "60 patterns of 64 pixels, unrolled with pytorch" in done.out
        assert "memory: about" in done.out
        assert not out.exists()
    assert ptycho("infer", model, scan_file, "-o", model, "--dry-run", "--no-such").code == 2
