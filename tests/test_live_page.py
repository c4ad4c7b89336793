"""Commands on a live page: what a browser would be told, and that nothing else changes."""

import re
import subprocess
import sys

import numpy as np
import pytest
from ptycho_core.testing import simulated_scan
from ptycho_core.testing.live_page import ask, events
from ptycho_data import load_bundle, load_reconstruction, save_scan


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.npz"
    save_scan(path, simulated_scan(24))
    return path


def follow(*words):
    """Run a command with a page; return all that was told, and a picture."""
    command = [sys.executable, "-m", "ptycho_cli", *map(str, words), "--serve", "0"]
    told, picture = [], 0
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:  # noqa: S603
        for line in run.stderr:
            if found := re.search(r"live page: (http://127\.0\.0\.1:\d+/)", line):
                break
        with events(found[1]) as stream:
            for news in stream:
                told.append(news)
                if news["picture"] and not picture:
                    picture = len(ask(found[1], "object")[2])
        run.stderr.read()
    assert run.returncode == 0
    assert picture > 1000
    return told


def curve(told, name):
    points = [entry for news in told for entry in news["points"]["entries"]]
    return [point["values"][name] for point in points if name in point["values"]]


def test_a_reconstruction(scan_file, tmp_path):
    settings = ("--epochs", "20", "--no-pictures")
    told = follow("reconstruct", scan_file, "-o", tmp_path / "shown", *settings)
    plain = [sys.executable, "-m", "ptycho_cli", "reconstruct", scan_file, "-o", tmp_path / "plain"]
    subprocess.run([*plain, *settings], check=True, capture_output=True)  # noqa: S603
    shown, alone = (load_reconstruction(tmp_path / name) for name in ("shown", "plain"))
    np.testing.assert_array_equal(shown.object, alone.object)
    assert len(curve(told, "r_factor")) == 20
    assert told[-1]["end"]["how"] == "finished"
    assert told[-1]["end"]["path"].endswith("shown")
    assert "R-factor" in told[-1]["end"]["text"]


def test_a_training(scan_file, tmp_path):
    settings = ("--nepochs", "3", "--architecture", "cnn", "--n-filters-scale", "1")
    told = follow("train", scan_file, "-o", tmp_path / "model", *settings)
    history = load_bundle(tmp_path / "model").history
    assert curve(told, "train_loss") == pytest.approx(history["train_loss"])
    assert curve(told, "r_over_noise")
    assert told[-1]["end"]["how"] == "finished"
    assert told[-1]["now"]["progress"] == {"done": 3, "total": 3, "unit": "epochs"}
