"""``ptycho stream``: patterns that come from a replay in a process of its own."""

import json

import numpy as np
import pytest
from ptycho_data import load_reconstruction, load_scan


@pytest.fixture
def model(ptycho, scan_file, stand_in):
    """The folder of a model of the backend without a framework."""
    assert stand_in is not None
    folder = scan_file.with_name("model")
    assert ptycho("train", scan_file, "-o", folder, "--nepochs", 1).code == 0
    return folder


def test_a_replay_is_received_and_reconstructed(ptycho, model, scan_file):
    out = scan_file.with_name("live")
    replay = ("--replay", scan_file, "--protocol", "hdf5", "--rate", "2000")
    done = ptycho("stream", model, *replay, "-o", out, "--no-pictures")
    assert done.code == 0, done.err
    assert "60 patterns" in done.out
    scan, come = load_scan(scan_file), load_scan(out / "scan.npz")
    np.testing.assert_array_equal(come.diffraction, scan.diffraction)
    np.testing.assert_allclose(come.positions, scan.positions)
    assert len(load_reconstruction(out).indices) == 60
    record = json.loads((out / "run.json").read_text())
    assert record["command"] == "stream"
    assert record["sources"] == {"frames": "hdf5", "positions": "hdf5"}
    assert record["stream"]["missing"] == 0
    assert str(scan_file.parent) not in json.dumps(record)
    assert ptycho("stream", model, *replay, "-o", out).code == 3  # results are there


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--source"),
        (("--source", "folder:a", "--replay", "scan.npz"), "--source"),
        (("--replay", "scan.npz", "--positions", "table:b"), "--positions"),
        (("--source", "folder:a", "--merge"), "--merge"),
        (("--source", "folder:a", "--rotate", "auto"), "rotate"),
        (("--resume",), "unfinished stream"),
        (("--source", "folder:a", "--serve", "here"), "serve"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_received(
    ptycho, model, scan_file, monkeypatch, words, told
):
    monkeypatch.chdir(scan_file.parent)
    done = ptycho("stream", model, *words, "-o", "live")
    assert done.code == 2
    assert told in done.err
    assert not (scan_file.parent / "live").exists()
