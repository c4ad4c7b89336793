"""Runs of the solver that are interrupted, limited or killed, and go on with the same bits."""

import io
import json
import os
import signal
import sys

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_core.checkpoints import write_sealed
from ptycho_core.outputs import CHECKPOINT_FILE, RECONSTRUCTION_FILES
from ptycho_core.solving import attended
from ptycho_core.solving.call import SolverInterrupted, solve_scan
from ptycho_core.solving.checkpoint import SolverCheckpoint
from ptycho_core.testing import simulated_scan
from ptycho_core.testing.kills import Moment, watch
from ptycho_data import OutputExistsError, load_reconstruction

OPTIONS = {"epochs": 5, "update_probe": True, "refine_positions": True, "position_start": 1}
OPTIONS |= {"pictures": False, "progress": False}


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(24)


@pytest.fixture(scope="module")
def whole(scan):
    return solve_scan(scan, **OPTIONS)


def interrupted_in(scan, epoch, number=signal.SIGINT, **options):
    """Solve, with a signal at the end of an epoch."""

    def send(at, _r_factor):
        if at == epoch:
            os.kill(os.getpid(), number)

    return solve_scan(scan, callback=send, **{**OPTIONS, **options})


def assert_same(folder, whole):
    rec = load_reconstruction(folder)
    for name in ("object", "coverage", "probe", "xcoords", "ycoords"):
        np.testing.assert_array_equal(getattr(rec, name), getattr(whole.reconstruction, name))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["r_factors"] == whole.r_factors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_its_result_and_resumes(scan, whole, tmp_path, number):
    out = tmp_path / "r"
    with pytest.raises(SolverInterrupted, match=r"after 2 epochs: .* --resume") as caught:
        interrupted_in(scan, 2, number, output=out)
    result = caught.value.result
    assert (result.stopped, result.complete, result.path) == ("interrupted", False, out)
    assert load_reconstruction(out).object.shape == result.reconstruction.object.shape
    for name in ("metrics.json", "run.json"):
        assert json.loads((out / name).read_text())["stopped"] == "interrupted"
    with pytest.raises(OutputExistsError, match="--resume"):
        solve_scan(scan, output=out, **OPTIONS)
    again = solve_scan(scan, output=out, resume=True, **OPTIONS)
    assert again.complete
    assert_same(out, whole)
    assert {path.name for path in out.iterdir()} <= set(RECONSTRUCTION_FILES)
    assert json.loads((out / "run.json").read_text())["resumed_after"] == 2


def test_without_an_output_the_result_is_in_the_exception(scan):
    with pytest.raises(SolverInterrupted) as caught:
        interrupted_in(scan, 1)
    assert len(caught.value.result.r_factors) == 1
    assert "--resume" not in str(caught.value)


def test_a_signal_in_the_last_epoch_finds_the_run_complete(scan, whole, tmp_path):
    with pytest.raises(SolverInterrupted, match=r"the reconstruction is complete$"):
        interrupted_in(scan, 5, output=tmp_path / "r")
    assert_same(tmp_path / "r", whole)
    assert not (tmp_path / "r" / CHECKPOINT_FILE).exists()


def test_the_epochs_may_grow(scan, whole, tmp_path):
    with pytest.raises(SolverInterrupted):
        interrupted_in(scan, 2, output=tmp_path / "r", epochs=3)
    with pytest.raises(InvalidValueError, match="more than the 2 epochs that are done"):
        solve_scan(scan, output=tmp_path / "r", resume=True, **{**OPTIONS, "epochs": 2})
    solve_scan(scan, output=tmp_path / "r", resume=True, **OPTIONS)
    assert_same(tmp_path / "r", whole)


def test_what_has_no_time_is_saved(scan, whole, tmp_path):
    rule = "max_time must be minutes enough for the first epoch, got 1e-09; continue with --resume"
    with pytest.raises(InvalidValueError, match=rule):
        solve_scan(scan, output=tmp_path / "r", max_time=1e-9, **OPTIONS)
    assert [path.name for path in (tmp_path / "r").iterdir()] == [CHECKPOINT_FILE]
    solve_scan(scan, output=tmp_path / "r", resume=True, **OPTIONS)
    assert_same(tmp_path / "r", whole)


def test_a_time_limit_ends_a_run_without_an_error(scan, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(attended.time, "monotonic", lambda: now[0])

    def take_a_minute(_epoch, _r_factor):
        now[0] += 60.0

    options = {**OPTIONS, "callback": take_a_minute}
    result = solve_scan(scan, output=tmp_path / "r", max_time=2.5, **options)
    assert (result.stopped, len(result.r_factors)) == ("max_time", 3)
    assert (tmp_path / "r" / CHECKPOINT_FILE).exists()


def test_a_run_of_something_else_is_not_resumed(scan, tmp_path):
    with pytest.raises(SolverInterrupted):
        interrupted_in(scan, 1, output=tmp_path / "r")
    again = {"output": tmp_path / "r", "resume": True, **OPTIONS}
    for other, name in (({"batch_size": 8}, "batch_size"), ({"seed": 1}, "seed")):
        with pytest.raises(InvalidValueError, match=f"{name} must be as in .*checkpoint"):
            solve_scan(scan, **{**again, **other})
    with pytest.raises(InvalidValueError, match=r"scan must be as in .*checkpoint"):
        solve_scan(simulated_scan(24, seed=5), **again)
    path = tmp_path / "r" / CHECKPOINT_FILE
    before = path.read_bytes()
    other = {**again, "seed": 1, "overwrite": True}
    assert len(solve_scan(scan, **other).r_factors) == OPTIONS["epochs"]
    assert not path.exists()
    path.write_bytes(before)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InvalidValueError, match=r"checkpoint\.npz must be a whole checkpoint"):
        solve_scan(scan, **again)
    solve_scan(scan, **{**again, "resume": False, "overwrite": True})
    assert not path.exists()


def test_a_text_nested_too_deeply_is_no_checkpoint(tmp_path):
    content = io.BytesIO()
    np.savez(content, state=np.frombuffer(b"[" * 200_000, np.uint8))
    write_sealed(tmp_path / "c.npz", content.getbuffer())
    with pytest.raises(InvalidValueError, match=r"c\.npz must be a checkpoint of the solver"):
        SolverCheckpoint(path=tmp_path / "c.npz", identity={}).read()


def test_resume_begins_where_there_is_nothing_yet(scan, whole, tmp_path):
    solve_scan(scan, output=tmp_path / "r", resume=True, **OPTIONS)
    assert_same(tmp_path / "r", whole)
    with pytest.raises(OutputExistsError):
        solve_scan(scan, output=tmp_path / "r", resume=True, **OPTIONS)
    with pytest.raises(InvalidValueError, match="the folder to resume from"):
        solve_scan(scan, resume=True, **OPTIONS)


def test_an_interrupted_half_scan_keeps_the_whole(scan, tmp_path):
    epochs = []

    def send(epoch, _r_factor):
        epochs.append(epoch)
        if epochs == [1, 2, 1]:  # in the first half
            os.kill(os.getpid(), signal.SIGINT)

    options = {**OPTIONS, "epochs": 2, "half_scan_frc": True, "callback": send}
    with pytest.raises(SolverInterrupted, match="complete, but without its half-scan FRC"):
        solve_scan(scan, output=tmp_path / "r", **options)
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert (metrics["stopped"], metrics["half_scan_frc"]) == ("epochs", None)
    assert not (tmp_path / "r" / CHECKPOINT_FILE).exists()


def test_the_time_is_that_of_the_half_scans_too(scan, tmp_path, monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr(attended.time, "monotonic", lambda: now[0])

    def take_a_minute(_epoch, _r_factor):
        now[0] += 60.0

    options = {**OPTIONS, "epochs": 2, "half_scan_frc": True, "callback": take_a_minute}
    result = solve_scan(scan, output=tmp_path / "r", max_time=2.5, **options)
    assert (result.stopped, result.metrics["half_scan_frc"]) == ("epochs", None)
    assert "no half-scan FRC: max_time is over" in caplog.text
    assert now[0] == 180.0  # no time for the other half


def solve_in_a_child(scan, folder, moment):
    """Solve in a forked process, which may be killed before a change of a file.

    Returns
    -------
    int
        Number of changes; 0 if it was killed.
    """
    count = folder.with_name("changes")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            attended.EVERY_S = attended.EVERY_TIMES = 0.0
            changes = watch(folder, moment)
            solve_scan(scan, output=folder, resume=True, **OPTIONS)
            count.write_text(str(changes()))
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return 0 if code else int(count.read_text())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_run_goes_on_with_the_same_bits(scan, whole, tmp_path):
    changes = solve_in_a_child(scan, tmp_path / "all", Moment())
    assert_same(tmp_path / "all", whole)
    rng = np.random.default_rng(0)
    for number in range(6):
        out = tmp_path / f"r{number}"
        moment = Moment(change=int(rng.integers(1, changes - 10)))
        assert not solve_in_a_child(scan, out, moment)
        moment = Moment(change=int(rng.integers(1, 30)))  # killed again, soon after it resumed
        solve_in_a_child(scan, out, moment)
        if not (out / "reconstruction.npz").exists() or (out / CHECKPOINT_FILE).exists():
            solve_scan(scan, output=out, resume=True, **OPTIONS)
        assert_same(out, whole)
        assert not (out / CHECKPOINT_FILE).exists()
