import json
import shutil

import numpy as np


def test_table(ptycho, solved, scan_file):
    done = ptycho("evaluate", solved, scan_file)
    assert done.code == 0
    for words in ("complex correlation", "amplitude PSNR", "FRC falls below 0.5", "rectangle"):
        assert words in done.out


def test_json_and_files(ptycho, solved, scan_file, tmp_path):
    args = ["evaluate", solved / "reconstruction.npz", scan_file, "-o", tmp_path / "e", "--json"]
    done = ptycho(*args)
    metrics = json.loads(done.out)
    assert metrics["correlation"] > 0.99
    written = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert written.pop("run")["inputs"].keys() == {"reconstruction", "reference"}
    assert metrics == written
    assert (tmp_path / "e" / "evaluation.png").stat().st_size > 50_000
    assert ptycho(*args).fails_with("evaluation.html", "--overwrite")
    assert ptycho(*args, "--overwrite", "--remove-ramp").code == 0


def test_a_reconstruction_equals_itself(ptycho, solved):
    metrics = json.loads(ptycho("evaluate", solved, solved, "--json").out)
    assert abs(metrics["correlation"] - 1) < 1e-6
    assert metrics["amplitude_psnr"] is None or metrics["amplitude_psnr"] > 80
    text = ptycho("evaluate", solved, solved).out
    assert "none" in text or metrics["amplitude_psnr"]
    assert "FRC falls below 0.5       nowhere up to 0.500 cycles/pixel" in text
    assert metrics["frc"]["crossed_half"] is False


def test_refusals(ptycho, solved, scan_file, tmp_path):
    assert ptycho("evaluate", tmp_path / "gone", scan_file).code == 2
    swapped = ptycho("evaluate", scan_file, scan_file)
    assert swapped.fails_with("scan.npz", "reconstruction.npz")
    assert swapped.err.count("probeGuess") == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    done = ptycho("evaluate", empty, scan_file)
    assert done.fails_with("reconstruction.npz")
    assert "(file)" not in done.err
    np.savez(tmp_path / "other.npz", nothing=[1])
    assert ptycho("evaluate", solved, tmp_path / "other.npz").fails_with("other.npz", "objectGuess")


def test_several_results_against_one_reference(ptycho, solved, scan_file, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(solved, tmp_path / "r" / name)
    command = ("evaluate", tmp_path / "r" / "*", scan_file, "-o", tmp_path / "e")
    done = ptycho(*command)
    assert done.code == 0
    head, *rows, _ = done.out.splitlines()
    assert head.split() == [
        "scan",
        "state",
        "correlation",
        *["phase", "PSNR", "phase", "SSIM", "seconds"],
    ]
    assert [row.split()[:2] for row in rows] == [["a", "done"], ["b", "done"]]
    again = ptycho(*command, "--skip-done", "--json")
    assert [json.loads(line)["state"] for line in again.out.splitlines()] == ["skipped"] * 2
    assert ptycho(*command, "--skip-done", "--remove-ramp").code == 3
    (tmp_path / "e" / "b" / "evaluation.json").write_text("[]")
    assert "does not record" in ptycho(*command, "--skip-done").out
    assert ptycho(*command[:3], "--skip-done").code == 2
