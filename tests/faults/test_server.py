"""The server runs the command as a shell would, and kills and limits it when told."""

import signal

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
    def call(kill_at):
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        argv = ["config", "template", "-o", "settings.toml"]
        answer = server.call(argv, folder, watched=str(folder), kill_at=kill_at)
        return answer, (folder / "settings.toml").exists()

    whole, written = call(10_000)
    assert (whole.code, whole.killed, written) == (0, "", True)
    seen = []
    for change in range(1, whole.changes + 1):
        answer, written = call(change)
        assert (answer.code, answer.killed) == (-signal.SIGKILL, "kill")
        seen.append(written)
    assert seen[0] is False
    assert seen == sorted(seen)  # there from some change on
    answer, written = call(whole.changes + 1)
    assert (answer.code, answer.killed, written) == (0, "", True)


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
