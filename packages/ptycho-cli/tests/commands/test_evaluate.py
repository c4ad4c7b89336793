import json

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
    assert metrics == json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert (tmp_path / "e" / "evaluation.png").stat().st_size > 50_000
    assert ptycho(*args).fails_with("evaluation.json", "--overwrite")
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
