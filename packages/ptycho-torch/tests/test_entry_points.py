"""The command lines of existing scripts, word for word, from training to inference."""

import json
import subprocess
import sys

import numpy as np
import pytest
from ptycho_data import load_bundle, load_reconstruction, save_scan

FIRST = (
    "--train_data_file {F} --output_dir {OUT} --n_images 64 --max_epochs 1 "
    "--accelerator cpu --deterministic --num-workers 0 --learning-rate 1e-4"
)
SECOND = (
    "--train_data_file {F} --test_data_file {F} --output_dir {OUT} --n_images 64 "
    "--gridsize 2 --batch_size 4 --max_epochs 1 --disable_mlflow --device cpu --accelerator cpu "
    "--learning-rate 1e-3 --num-workers 0 --deterministic"
)
INFERENCE = (
    "--model_path {OUT} --test_data {F} --output_dir {REC} --n_images 64 --accelerator cpu --quiet"
)
OUTPUTS = {
    "reconstruction.npz",
    "product.h5",
    "reconstructed_amplitude.png",
    "reconstructed_phase.png",
    "metrics.json",
}


@pytest.fixture(scope="module")
def scan_file(scan, tmp_path_factory):
    """Sixty-four patterns of the small scan, as a file."""
    path = tmp_path_factory.mktemp("data") / "scan.npz"
    save_scan(path, scan.select(np.arange(64) % scan.n))
    return path


def run(module, line, folder, scan_file):
    words = line.format(F=scan_file, OUT=folder / "OUT", REC=folder / "REC").split()
    command = [sys.executable, "-m", f"ptycho_torch.{module}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program


@pytest.mark.parametrize(("line", "gridsize"), [(FIRST, 1), (SECOND, 2)])
def test_from_training_to_inference(line, gridsize, scan_file, tmp_path):
    trained = run("train", line, tmp_path, scan_file)
    assert trained.returncode == 0, trained.stderr
    bundle = load_bundle(tmp_path / "OUT")
    assert bundle.config["model"]["gridsize"] == gridsize
    assert bundle.config["n_groups"] == 64
    first_layer = bundle.weights["network.encoder.0.0.0.weight"]
    assert first_layer.shape[1] == gridsize**2  # the channels of data, network and forward model
    assert bundle.weights["network.amplitude.head.weight"].shape[0] == gridsize**2
    inferred = run("inference", INFERENCE, tmp_path, scan_file)
    assert inferred.returncode == 0, inferred.stderr
    assert inferred.stdout + inferred.stderr == ""  # quiet
    assert {path.name for path in (tmp_path / "REC").iterdir()} == OUTPUTS
    rec = load_reconstruction(tmp_path / "REC" / "reconstruction.npz")
    assert np.isfinite(rec.object).all()
    assert json.loads((tmp_path / "REC" / "metrics.json").read_text())["r_factor"] > 0


@pytest.mark.parametrize(
    ("line", "warnings"), [(FIRST, []), (SECOND, ["--disable_mlflow", "--device"])]
)
def test_only_old_flags_warn(line, warnings, scan_file, tmp_path):
    errors = run("train", line, tmp_path, scan_file).stderr
    found = [text for text in errors.splitlines() if "DeprecationWarning" in text]
    assert len(found) == len(warnings), errors
    for flag, text in zip(warnings, found, strict=True):
        assert f"{flag} is deprecated" in text


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("--train_data_file missing.npz --output_dir {OUT}", 1, "missing.npz"),
        ("--train_data_file {F} --output_dir {OUT} --gridsize 9", 1, "gridsize"),
        ("--train_data_file {F} --output_dir {OUT} --scheduler Sometimes", 2, "--scheduler"),
        ("--train_data_file {F} --output_dir {OUT} --checkpoint-monitor loss", 1, "train_loss"),
        ("--output_dir {OUT}", 2, "--train_data_file"),
    ],
)
def test_mistakes_are_one_line(line, code, message, scan_file, tmp_path):
    failed = run("train", line, tmp_path, scan_file)
    assert failed.returncode == code
    assert message in failed.stderr.splitlines()[-1]
    assert "Traceback" not in failed.stderr


def test_a_bundle_for_another_size_is_one_line(scan_file, tmp_path):
    (tmp_path / "OUT").mkdir()
    (tmp_path / "OUT" / "wts.h5.zip").write_text("no bundle")
    failed = run("inference", INFERENCE, tmp_path, scan_file)
    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1
    assert "wts.h5.zip" in failed.stderr
