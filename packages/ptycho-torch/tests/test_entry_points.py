"""The command lines of existing scripts, word for word, from training to inference."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from ptycho_core.testing import simulated_scan
from ptycho_data import load_bundle, load_reconstruction, save_scan
from ptycho_torch import inference, train

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
    "run.json",
    "report.html",
    "SHA256SUMS",
}


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory):
    """Sixty-four patterns, as a file."""
    path = tmp_path_factory.mktemp("data") / "scan.npz"
    save_scan(path, simulated_scan(64))
    return path


def run(module, line, folder, scan_file):
    words = line.format(F=scan_file, OUT=folder / "OUT", REC=folder / "REC").split()
    command = [sys.executable, "-m", f"ptycho_torch.{module}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program


@pytest.mark.parametrize(
    ("line", "gridsize", "old_flags"),
    [
        (FIRST, 1, []),
        pytest.param(SECOND, 2, ["--disable_mlflow", "--device"], marks=pytest.mark.slow),
    ],
)
def test_from_training_to_inference(line, gridsize, old_flags, scan_file, tmp_path):
    trained = run("train", line, tmp_path, scan_file)
    assert trained.returncode == 0, trained.stderr
    warnings = [text for text in trained.stderr.splitlines() if "DeprecationWarning" in text]
    assert len(warnings) == len(old_flags), trained.stderr
    assert all(f"{f} is deprecated" in w for f, w in zip(old_flags, warnings, strict=True))
    bundle = load_bundle(tmp_path / "OUT")
    assert bundle.config["model"]["gridsize"] == gridsize
    assert bundle.config["n_groups"] == 64
    first_layer = bundle.weights["network.encoder.0.0.0.weight"]
    # each channel of the data twice: as it is and as it departs from the empty beam
    assert first_layer.shape[1] == 2 * gridsize**2
    assert bundle.weights["network.amplitude.head.weight"].shape[0] == gridsize**2
    inferred = run("inference", INFERENCE, tmp_path, scan_file)
    assert inferred.returncode == 0, inferred.stderr
    # quiet: nothing but the doubt about the result of one epoch
    said = inferred.stdout + inferred.stderr
    assert all("R-factor" in line for line in said.splitlines()), said
    assert {path.name for path in (tmp_path / "REC").iterdir()} == OUTPUTS
    rec = load_reconstruction(tmp_path / "REC" / "reconstruction.npz")
    assert np.isfinite(rec.object).all()
    assert json.loads((tmp_path / "REC" / "metrics.json").read_text())["r_factor"] > 0


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("--train_data_file missing.npz --output_dir {OUT}", 1, "missing.npz"),
        ("--train_data_file {F} --output_dir {OUT} --gridsize 9", 1, "gridsize"),
        ("--train_data_file {F} --output_dir {OUT} --scheduler Sometimes", 2, "--scheduler"),
        ("--train_data_file {F} --output_dir {OUT} --checkpoint-monitor loss", 1, "train_loss"),
        ("--output_dir {OUT}", 2, "--train_data_file"),
        (FIRST.replace("1e-4", "1e30 --max_epochs 3"), 1, "lower learning_rate"),
    ],
)
def test_mistakes_are_one_line(line, code, message, scan_file, tmp_path, capsys):
    words = line.format(F=scan_file, OUT=tmp_path / "OUT").split()
    try:
        found = train.main(words)
    except SystemExit as wrong_usage:  # how argparse ends
        found = wrong_usage.code
    assert found == code
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_what_is_no_bundle_is_one_line(scan_file, tmp_path, capsys):
    (tmp_path / "OUT").mkdir()
    (tmp_path / "OUT" / "wts.h5.zip").write_text("no bundle")
    words = INFERENCE.format(F=scan_file, OUT=tmp_path / "OUT", REC=tmp_path / "REC").split()
    assert inference.main(words) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert "wts.h5.zip" in errors[0]


def given(module, line):
    """What a command line gives, and the warnings it causes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options = module.parser().parse(line.split())
    return options, [str(warning.message) for warning in caught]


def test_snake_case_flags_map_and_warn_once():
    new, quiet = given(train, FIRST)
    old, warned = given(train, FIRST.replace("--num-w", "--num_w").replace("-rate", "_rate"))
    assert old == new
    assert quiet == []
    assert warned == [
        "--num_workers is deprecated, use --num-workers",
        "--learning_rate is deprecated, use --learning-rate",
    ]


def test_old_flags_of_inference_map_and_warn():
    new, quiet = given(inference, INFERENCE)
    old, warned = given(inference, INFERENCE.replace("--accelerator", "--device"))
    assert old == new
    assert (quiet, warned) == ([], ["--device is deprecated, use accelerator"])


@pytest.mark.parametrize("module", ["train", "inference"])
def test_modules_in_the_working_directory_are_not_executed(module, tmp_path):
    for name in ("attr", "attrs", "numpy", "torch", "typing"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)\n")
    command = [sys.executable, "-m", f"ptycho_torch.{module}", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    assert done.returncode == 0, done.stderr
