"""The acceptance program on small files of the same make as the real ones."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ptycho_data import load_scan
from ptycho_physics import defocused_probe, random_cells, random_scan, simulate_counts
from ptycho_torch.train import parser

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "real_data.py"


@pytest.fixture
def real_data(monkeypatch):
    monkeypatch.syspath_prepend(str(PROGRAM.parent))
    spec = importlib.util.spec_from_file_location("real_data", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "real_data", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scene():
    truth = random_cells((130, 130), radius=(6, 14), seed=2)
    return truth, random_scan(truth.shape, 64, number=150, seed=1), defocused_probe(64)


@pytest.fixture
def data(scene, tmp_path):
    truth, positions, probe = scene
    folder = tmp_path / "data"
    folder.mkdir()
    np.savez(
        folder / "run1084.npz",
        objectGuess=truth.astype(np.complex64),
        probeGuess=probe[0].astype(np.complex64),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
    )
    return folder


def test_solver_case_from_files_to_table(real_data, data, tmp_path, capsys):
    out = tmp_path / "out"
    assert real_data.main([str(data), "-o", str(out), "--only", "solver"]) == 0
    record = json.loads((out / "real_data.json").read_text("utf-8"))
    (case,) = record["cases"]
    assert case["passed"]
    assert [step["step"] for step in case["steps"]] == ["simulate", "solve", "evaluate"]
    assert all(step["cpu_s"] > 0 and step["wall_s"] > 0 for step in case["steps"])
    assert "DATA_FOLDER/run1084.npz" in case["steps"][0]["command"]
    assert case["figures"]["solve_cpu_s"] > 0
    table = (out / "real_data.md").read_text("utf-8")
    assert "| solver | correlation >= 0.999 | 0.999" in table
    assert table in capsys.readouterr().out
    with pytest.raises(SystemExit):  # the folder has results already
        real_data.main([str(data), "-o", str(out), "--only", "solver"])


def test_a_step_that_fails_is_said_and_the_exit_code_is_1(real_data, data, tmp_path, capsys):
    (data / "run1084.npz").write_text("not a scan", "utf-8")
    out = tmp_path / "out"
    assert real_data.main([str(data), "-o", str(out), "--only", "solver"]) == 1
    assert "simulate ended with code" in capsys.readouterr().err
    assert "MISSED" in (out / "real_data.md").read_text("utf-8")


def test_missed_bounds(real_data):
    case = real_data.Case("x", [real_data.Bound("correlation", least=0.97)])
    assert not case.passed
    for value, passed in ((0.96, False), (float("nan"), False), (0.97, True)):
        case.figures["correlation"] = value
        assert case.passed == passed
    most = real_data.Bound("r_factor", most=0.16)
    assert [most.met(v) for v in (0.15, 0.17, float("nan"), None)] == [True, False, False, False]


def test_conversion_of_the_siemens_star_shifts_and_swaps(real_data, scene, tmp_path):
    truth, positions, probe = scene
    counts = simulate_counts(truth, probe, positions, 1e4, seed=0).astype(np.uint16)
    path = tmp_path / "siemens_top.npz"
    np.savez(
        path,
        counts=np.fft.ifftshift(counts, axes=(-2, -1)),
        scan_rowcol_px=(positions[:, ::-1] - 65).astype(np.float32),
        probe=probe[0].astype(np.complex64),
    )
    scan = real_data.siemens_scan(path)
    np.testing.assert_array_equal(scan.diffraction, counts)
    assert scan.diffraction.dtype == np.uint16
    np.testing.assert_allclose(scan.positions, positions - 65, atol=1e-4)
    saved = tmp_path / "scan.npz"
    real_data.save_scan(saved, scan)
    np.testing.assert_array_equal(load_scan(saved).probe, probe)


def test_options_in_the_table_are_options_of_the_command(real_data):
    """Training is too long for a test: its commands are at least well formed."""
    from ptycho_cli.main import cli

    context = cli.make_context("ptycho", [], resilient_parsing=True)
    train = cli.get_command(context, "train")
    for options in (real_data.GRIDSIZE_1, real_data.GRIDSIZE_2, real_data.SIEMENS):
        train.make_context("train", [str(PROGRAM), "-o", "model", *options.split()])
    reconstruct = cli.get_command(context, "reconstruct")
    arguments = [str(PROGRAM), "-o", "out", *real_data.PROBE_REFINEMENT.split()]
    reconstruct.make_context("reconstruct", arguments)
    for gridsize, options in real_data.FIXTURE.items():
        words = ["--train_data_file", "scan.npz", "--output_dir", "model", *options.split()]
        assert parser().parse(words).get("gridsize", 1) == gridsize
