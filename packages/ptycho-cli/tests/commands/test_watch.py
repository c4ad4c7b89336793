"""``ptycho watch``: scans that arrive in a folder."""

import json
import os
import shutil
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from ptycho_data import load_reconstruction, load_scan

QUICK = ("--once", "--settle", "0", "--no-pictures")


@pytest.fixture
def incoming(tmp_path, scan_file):
    """A folder with a whole scan and the first half of another."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    shutil.copy(scan_file, folder / "scan_1.npz")
    half = scan_file.read_bytes()[:20000]
    (folder / "scan_2.npz").write_bytes(half)
    return folder


def lines(done):
    return [json.loads(line) for line in done.out.splitlines()]


def test_scans_are_done_once_and_broken_ones_when_they_are_whole(ptycho, incoming, scan_file):
    out = incoming.with_name("out")
    call = ("watch", incoming, "--solver", "--epochs", 2, "-o", out, "--json", *QUICK)
    done = ptycho(*call)
    assert done.code == 1
    assert [(line["scan"], line["state"]) for line in lines(done)] == [
        ("scan_1", "done"),
        ("scan_2", "failed"),
    ]
    assert "File is not a zip file" in lines(done)[1]["reason"]
    assert load_reconstruction(out / "scan_1").N == 64
    assert not list(out.rglob("*.png"))
    assert ptycho(*call).out == ""
    shutil.copy(scan_file, incoming / "scan_2.npz")
    assert [line["state"] for line in lines(ptycho(*call))] == ["done"]
    listed = ptycho("watch", incoming, "-o", out, "--list")
    assert [line.split()[:2] for line in listed.out.splitlines()] == [
        ["scan_1", "done"],
        ["scan_2", "done"],
    ]


def test_files_of_an_instrument_are_prepared_by_the_recipe(ptycho, tmp_path, scan_file):
    scan, folder = load_scan(scan_file), tmp_path / "raw"
    folder.mkdir()
    with h5py.File(folder / "s7_master.h5", "w") as file:
        file["frames"] = scan.diffraction
    np.savetxt(folder / "s7.csv", scan.positions * 1e-7, delimiter=",")
    (tmp_path / "recipe.toml").write_text(
        'patterns = "frames"\nx = "s7.csv::0"\ny = "s7.csv::1"\nunit = "m"\nenergy = "9keV"\n'
        'distance = "2m"\ndetector_pixel = "75um"\nfirst_probe = "none"\n'
    )
    out = tmp_path / "out"
    done = ptycho(
        "watch", folder, "--solver", "--epochs", 1, "-o", out, *QUICK,
        "--recipe", tmp_path / "recipe.toml", "--pattern", "{scan}_master.h5",
        "--pattern", "{scan}.csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert load_scan(out / "s7" / "s7.scan.npz").n == scan.n
    assert load_reconstruction(out / "s7").N == 64


@pytest.mark.usefixtures("stand_in")
def test_with_a_network(ptycho, tmp_path, incoming, scan_file):
    assert ptycho("train", scan_file, "-o", tmp_path / "model", "--nepochs", "1").code == 0
    (incoming / "scan_2.npz").unlink()
    out = tmp_path / "out"
    call = ("watch", incoming, tmp_path / "model", "-o", out, *QUICK)
    done = ptycho(*call, "--fail-above", "0.01")
    assert "scan_1: below quality: R-factor over photon noise must be at most 0.01" in done.out
    assert done.code == 4
    assert json.loads((out / "scan_1" / "run.json").read_text())["command"] == "infer"
    assert ptycho(*call).code == 0  # it is not done again


def test_wrong_calls_are_refused_before_anything_is_read(ptycho, incoming, tmp_path):
    out = ("-o", tmp_path / "out", *QUICK)
    assert ptycho("watch", incoming, *out).fails_with("--solver")
    assert ptycho("watch", incoming, incoming, "--solver", *out).fails_with("MODEL")
    assert ptycho("watch", incoming / "scan_1.npz", "--solver", *out).fails_with("FOLDER")
    assert ptycho("watch", incoming, "--solver", "-o", incoming).fails_with("another folder")
    assert ptycho("watch", incoming, "--solver", *out, "--pattern", "*.h5").fails_with("{scan}")
    assert ptycho("watch", incoming, tmp_path / "no", *out).fails_with("no")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_one_line(incoming, number):
    out = incoming.with_name("out")
    call = [sys.executable, "-m", "ptycho_cli", "watch", incoming, "--solver", "--epochs", "1"]
    call += ["-o", out, "--json", "-q", "--settle", "0", "--interval", "0.1", "--no-pictures"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(call, **pipes) as process:  # noqa: S603 - the command itself
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["state"] == "done"
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.decode().splitlines()[-1].startswith("stopped: 1 done")
    assert not (out / ".ptycho-lock").exists()
