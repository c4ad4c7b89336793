"""Two commands that write to one folder at a time: one is told, and no result is mixed."""

import threading
import time

import pytest
from calls import Server
from judge import REFUSED, RIGHT, judge
from scenes import hidden, parts


def both(first, second, folder, argv, other):
    """Run a call, and another once the first has begun to write; return their answers."""
    answers = {}

    def run() -> None:
        answers["first"] = first.call(argv, folder, seconds=120)

    thread = threading.Thread(target=run)
    thread.start()
    give_up = time.monotonic() + 60
    while not any(folder.glob("out/.ptycho-*")) and thread.is_alive():
        assert time.monotonic() < give_up
        time.sleep(0.002)
    answers["second"] = second.call(other, folder, seconds=120)
    thread.join()
    return answers["first"], answers["second"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["reconstruct", "train"])
def test_one_of_two_writers_is_told_of_the_other(command, samples, tmp_path):
    backend = "pytorch" if command == "train" else "none"
    argv = {
        "reconstruct": ["reconstruct", samples.star(), "-o", "out", "--epochs", "60"],
        "train": ["train", samples.star(), "-o", "out", "--nepochs", "3", "--n-filters-scale", "1"],
    }[command]
    with Server(backend) as second:
        second.call(["--version"], tmp_path)
        answers = both(samples.server(backend), second, tmp_path, argv, [*argv, "--overwrite"])
    verdicts = [judge(answer, command)[0] for answer in answers]
    assert set(verdicts) <= {RIGHT, REFUSED}
    assert RIGHT in verdicts
    for answer, verdict in zip(answers, verdicts, strict=True):
        if verdict == REFUSED:
            assert "in use by" in answer.err or "exists already" in answer.err
    alone = tmp_path / "alone"
    alone.mkdir()
    samples.server(backend).call(argv, alone, seconds=120)
    left, right = parts(tmp_path / "out"), parts(alone / "out")
    name = "wts.h5.zip" if command == "train" else "reconstruction.npz"
    assert left.keys() == right.keys()
    assert left[name] == right[name]
    assert not hidden(tmp_path)
