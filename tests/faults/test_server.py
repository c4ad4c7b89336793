"""The server runs the command as a shell would, and kills and limits it when told."""

import signal
from pathlib import Path

import pytest


@pytest.fixture
def server(samples):
    return samples.server("none")


def test_a_call_prints_and_ends_as_the_command_does(server, tmp_path):
    answer = server.call(["--version"], tmp_path)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("ptycho, version")
    answer = server.call(["inspect", "nothing.npz"], tmp_path)
    assert answer.code == 2
    assert answer.err.startswith("error: ")


def test_it_kills_before_a_change_of_a_file(server, tmp_path):
    argv = ["config", "template", "-o", "settings.toml"]
    whole = server.call(argv, tmp_path, watched=str(tmp_path))
    assert whole.code == 0
    written = (tmp_path / "settings.toml").read_bytes()
    (tmp_path / "settings.toml").unlink()
    for change in range(1, whole.changes + 1):
        answer = server.call(argv, tmp_path, watched=str(tmp_path), kill_at=change)
        assert (answer.code, answer.killed) == (-signal.SIGKILL, "kill")
        assert not (tmp_path / "settings.toml").exists() or change == whole.changes
        Path(tmp_path / "settings.toml").unlink(missing_ok=True)
    answer = server.call(argv, tmp_path, watched=str(tmp_path), kill_at=whole.changes + 1)
    assert (answer.code, answer.killed) == (0, "")
    assert (tmp_path / "settings.toml").read_bytes() == written


def test_it_kills_after_a_time(server, tmp_path):
    argv = ["simulate", "-o", "s.npz", "--n-patterns", "3000"]
    answer = server.call(argv, tmp_path, kill_after_s=0.05)
    assert (answer.code, answer.killed) == (-signal.SIGKILL, "kill")
    answer = server.call(argv, tmp_path, seconds=0.05)
    assert answer.killed == "hang"


def test_it_limits_the_size_of_a_file(server, tmp_path):
    answer = server.call(["simulate", "-o", "s.npz"], tmp_path, file_bytes=10_000)
    assert answer.code == 1
    assert not list(tmp_path.iterdir())
