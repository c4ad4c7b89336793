"""From a simulated scan to a picture through the real command line and the real backend."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from attrs import evolve, frozen
from ptycho_cli.main import main
from ptycho_data import load_bundle, load_reconstruction, load_scan, save_scan

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


@frozen
class Done:
    returncode: int
    stdout: str
    stderr: str


def ptycho(*arguments, check=True):
    """Run the command in this process: the framework is loaded once for all tests."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    assert code == 0 or not check, err.getvalue()
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def scan(folder):
    path = folder / "scan.npz"
    ptycho("simulate", "-o", path, "--n-patterns", 144, "--size", 132, "--photons", "1e6", "-q")
    return path


@pytest.fixture(scope="module", params=[1, 2])
def trained(request, folder, scan):
    model = folder / f"model{request.param}"
    size = {1: 16, 2: 4}[request.param]
    ptycho(
        *("train", scan, "-o", model, "--gridsize", request.param, "--batch-size", size),
        *("--nepochs", 4, "--n-filters-scale", 1, "--accelerator", "cpu", "-q"),
    )
    return model


@pytest.fixture(scope="module")
def result(folder, scan, trained):
    out = folder / f"{trained.name}-result"
    ptycho("infer", trained, scan, "-o", out, "--accelerator", "cpu", "-q")
    return out


def test_training_leaves_a_bundle_and_its_record(trained):
    bundle = load_bundle(trained)
    assert bundle.config["model"]["architecture"] == "unrolled"
    record = json.loads((trained / "run.json").read_text())
    applied = record["overrides_applied"]
    assert applied["nepochs"] == {"value": 4, "origin": "command line"}
    assert applied["learning_rate"] == {"value": 2e-3, "origin": "network"}
    assert record["inputs"]["train_data_file"]["sha256"]
    assert (trained / "checkpoints" / "last.ckpt").is_file()


def test_inference_writes_everything_and_uses_every_pattern(result, scan):
    assert {path.name for path in result.iterdir()} == OUTPUTS
    rec = load_reconstruction(result / "reconstruction.npz")
    np.testing.assert_array_equal(rec.indices, np.arange(load_scan(scan).n))
    metrics = json.loads((result / "metrics.json").read_text())
    assert metrics["r_factor"] < 0.25
    assert metrics["correlation"] > 0.9
    with h5py.File(result / "product.h5") as file:
        assert file["object"].shape[-2:] == rec.object.shape


def test_positions_of_the_result_are_those_of_the_scan(result, scan):
    rec = load_reconstruction(result / "reconstruction.npz")
    np.testing.assert_allclose(rec.positions + rec.origin, load_scan(scan).positions, atol=1e-9)


def test_evaluate_agrees_with_infer(result, scan):
    done = ptycho("evaluate", result, scan, "--json")
    metrics = json.loads((result / "metrics.json").read_text())
    assert json.loads(done.stdout)["correlation"] == pytest.approx(metrics["correlation"])


def test_solver_of_the_command_line_is_close_to_the_truth(folder, scan):
    out = folder / "solved"
    ptycho("reconstruct", scan, "-o", out, "-q")
    assert json.loads((out / "metrics.json").read_text())["correlation"] > 0.99


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("size", [(126, 131), (127, 130)])
def test_bright_pixel_through_every_stage(tmp_path, size, gridsize):
    """Simulate, train, infer, save, load: an absorbing pixel is where it was put."""
    where = (61, 66)  # row, column
    truth = np.ones(size, dtype=np.complex64)
    truth[where] = 0.05
    sample = tmp_path / "sample.npz"
    ptycho("simulate", "-o", sample, "--n-patterns", 81, "--size", 128, "--seed", 3, "-q")
    start = load_scan(sample)
    keep = {"probeGuess": start.probe, "xcoords": start.xcoords, "ycoords": start.ycoords}
    inside = (start.xcoords < size[1] - 33) & (start.ycoords < size[0] - 33)
    keep = {k: v[inside] if v.ndim == 1 else v for k, v in keep.items()}
    np.savez(sample, objectGuess=truth, **keep)
    scan, model, out = (tmp_path / name for name in ("scan.npz", "model", "out"))
    ptycho("simulate", "--from", sample, "-o", scan, "--photons", "1e7", "-q")
    ptycho(
        *("train", scan, "-o", model, "--gridsize", gridsize, "--nepochs", 1, "--batch-size", 8),
        *("--n-filters-scale", 1, "--learning-rate", 1e-5, "--accelerator", "cpu", "-q"),
    )
    ptycho("infer", model, scan, "-o", out, "--accelerator", "cpu", "-q")
    rec = load_reconstruction(out / "reconstruction.npz")
    lit = rec.coverage > 0.3 * rec.coverage.max()
    row, column = np.unravel_index(np.where(lit, np.abs(rec.object), 9).argmin(), lit.shape)
    assert (row + rec.origin[1], column + rec.origin[0]) == where


def spoiled(path, scan, **changes):
    """A copy of a scan file with arrays replaced."""
    with np.load(scan) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | changes))
    return path


@pytest.fixture
def bad(tmp_path, scan):
    """Make a bad scan by name."""

    def make(kind):
        path = tmp_path / f"{kind}.npz"
        patterns = np.array(load_scan(scan).diffraction, dtype=np.float32)
        match kind:
            case "missing":
                pass
            case "text":
                path.write_text("these are not patterns\n")
            case "truncated":
                path.write_bytes(scan.read_bytes()[:5000])
            case "wrong-keys":
                np.savez(path, images=patterns)
            case "nan":
                patterns[3, 5, 5] = np.nan
                spoiled(path, scan, diffraction=patterns)
            case "zeros":
                spoiled(path, scan, diffraction=0 * patterns)
            case "folder":
                path.mkdir()
        return path

    return make


KINDS = ["missing", "text", "truncated", "wrong-keys", "nan", "zeros", "folder"]


def refused(done, *words):
    lines = [line for line in done.stderr.splitlines() if line]
    return (
        done.returncode in (1, 2, 3)
        and "Traceback" not in done.stderr
        and "internal error" not in done.stderr
        and sum(line.lower().startswith("error") for line in lines) == 1
        and all(word in done.stderr for word in words)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["train", "infer"])
def test_bad_scans_are_one_clear_line(bad, command, kind, tmp_path, trained):
    path, out = bad(kind), tmp_path / "out"
    arguments = ("train", path) if command == "train" else ("infer", trained, path)
    done = ptycho(*arguments, "-o", out, check=False)
    assert refused(done, path.name), done.stderr
    assert not out.exists()


def test_a_scan_of_another_size_is_reconstructed(tmp_path, trained):
    scan = tmp_path / "big.npz"
    ptycho("simulate", "-o", scan, "--N", 128, "--size", 160, "--n-patterns", 9, "-q")
    ptycho("infer", trained, scan, "-o", tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    assert metrics["r_factor"] < 0.3


def test_existing_results_are_kept(trained, scan, result):
    before = {path: path.read_bytes() for path in [*result.iterdir(), trained / "wts.h5.zip"]}
    for arguments in (("train", scan, "-o", trained), ("infer", trained, scan, "-o", result)):
        done = ptycho(*arguments, check=False)
        assert refused(done, "--overwrite"), done.stderr
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_folder_that_cannot_be_written_to(tmp_path, scan):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    if os.access(closed, os.W_OK):  # root may write anywhere, but not here
        closed = Path("/sys")
    done = ptycho("train", scan, "-o", closed / "model", check=False)
    assert refused(done, closed.name), done.stderr


def test_a_file_where_a_folder_should_be(tmp_path, scan, trained):
    (tmp_path / "file").write_text("")
    for arguments in (("train", scan), ("infer", trained, scan)):
        done = ptycho(*arguments, "-o", tmp_path / "file" / "out", check=False)
        assert refused(done, "file"), done.stderr


def test_no_such_accelerator_is_said(tmp_path, scan):
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    done = ptycho("train", scan, "-o", tmp_path / "out", "--accelerator", "cuda", check=False)
    assert refused(done, "cuda"), done.stderr


def test_counts_and_stated_amplitudes_train_alike(tmp_path, scan):
    first = load_scan(scan)
    amplitude = np.sqrt(np.array(first.diffraction, dtype=np.float32))

    path = tmp_path / "amplitude.npz"
    save_scan(
        path,
        evolve(
            first,
            diffraction=amplitude / amplitude.max(),
            domain="amplitude",
            nphotons=first.mean_photons(),
        ),
    )
    losses = []
    for source in (scan, path):
        out = tmp_path / source.stem
        ptycho(
            *("train", source, "-o", out, "--nepochs", 1, "--n-groups", 32),
            *("--n-filters-scale", 1, "--accelerator", "cpu", "-q"),
        )
        losses.append(json.loads((out / "metrics.json").read_text())["final"]["train_loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


@pytest.mark.parametrize("trained", [1, pytest.param(2, marks=pytest.mark.slow)], indirect=True)
def test_two_processes_reconstruct_and_one_makes_the_halves(folder, scan, trained, result):
    """As a command: two processes start from one that a shell has started.

    The second has done its share early: if it ended with an error, it would end the first one, too.
    """
    out = folder / f"{trained.name}-two"
    command = [sys.executable, "-m", "ptycho_cli", "infer", trained, scan, "-o", out, "-q"]
    options = ["--accelerator", "cpu", "--devices", "2", "--half-scan-frc", "--refine", "1"]
    options += ["--fail-above", "20"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *options], check=True, env=env, timeout=120)  # noqa: S603 - our own
    assert {path.name for path in out.iterdir()} == {*OUTPUTS, "half_scan_frc.png"}
    metrics = json.loads((out / "metrics.json").read_text())
    alone = json.loads((result / "metrics.json").read_text())
    assert metrics["r_factor_network"] == pytest.approx(alone["r_factor"], rel=1e-3)
    assert metrics["half_scan_frc"]["patterns"] == [72, 72]
