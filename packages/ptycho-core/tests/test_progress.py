import logging
import os
import pty
import re
import sys
from contextlib import suppress

import pytest
from ptycho_core.progress import displays
from ptycho_core.progress.bar import Bar
from ptycho_core.progress.base import counter, no_progress, show_progress
from ptycho_core.progress.training import TrainingProgress
from ptycho_core.testing.terminal import logged_terminal
from rich.cells import cell_len

VALUES = {"val_loss": 0.25, "train_loss": 0.5, "learning_rate": 1e-3, "val_nll": 7.0}
LOSSES = "train_loss 0.5, val_loss 0.25"


@pytest.fixture(autouse=True)
def every_step(monkeypatch):
    """Draw after every step."""
    monkeypatch.setattr(displays, "INTERVAL", 0.0)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def train(progress: TrainingProgress, epochs: int = 3, steps: int = 2):
    progress.begin(epochs, 0, steps)
    for epoch in range(1, epochs + 1):
        for step in range(1, steps + 1):
            progress.step(epoch, step)
            yield epoch, step
        progress.end_epoch(VALUES)
    progress.close()


@pytest.mark.parametrize("columns", [20, 40, 60, 100])
def test_a_line_of_losses_stays_of_every_epoch(columns):
    with logged_terminal(columns) as terminal:
        list(train(TrainingProgress(shown=True)))
    assert "".join(terminal.lines) == "".join(f"epoch {n}/3: {LOSSES}" for n in (1, 2, 3))
    assert terminal.cursor
    assert b"epoch 2/3" in terminal.seen.replace(f"epoch 2/3: {LOSSES}".encode(), b"")


def test_other_lines_stand_above_the_bar():
    early = logging.StreamHandler()
    logger = logging.getLogger("framework")
    logger.addHandler(early)
    with logged_terminal(60) as terminal:
        early.setStream(sys.stderr)
        try:
            for epoch, step in train(TrainingProgress(shown=True)):
                if (epoch, step) == (2, 1):
                    print("half [/red] ", end="", file=sys.stderr)  # noqa: T201
                    print("a line", file=sys.stderr)  # noqa: T201
                    logger.warning("a record")
        finally:
            logger.removeHandler(early)
        assert early.stream is sys.stderr
    first, *between, second, third = terminal.lines
    assert between == ["half [/red] a line", "a record"]
    assert (first, second, third) == tuple(f"epoch {n}/3: {LOSSES}" for n in (1, 2, 3))


def test_an_exception_removes_the_bar():
    def fail():
        with show_progress(5, "solving") as update:
            update(1, "R-factor 0.5")
            update(2, "R-factor 0.4")
            raise KeyboardInterrupt

    with logged_terminal(60) as terminal, pytest.raises(KeyboardInterrupt):
        fail()
    assert terminal.lines == []
    assert b"2/5, R-factor 0.4" in terminal.seen
    assert terminal.cursor


def test_the_work_goes_on_without_its_terminal(monkeypatch):
    end, other = pty.openpty()
    stream = os.fdopen(other, "w", 1)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with show_progress(2, "solving") as update:
        update(1, "")
        os.close(end)
        update(2, "")
    with pytest.raises(OSError, match="error"):
        stream.write("nothing\n")
    with suppress(OSError):
        stream.close()


def test_a_bar_within_another_is_left_out():
    with logged_terminal(60) as terminal, show_progress(2, "outer") as outer:
        outer(1, "")
        with show_progress(2, "inner") as inner:
            inner(2, "found")
        outer(2, "")
    assert terminal.lines == ["inner: 2/2, found", "outer: 2/2"]


def test_the_width_is_that_of_the_moment():
    with logged_terminal(100) as terminal, show_progress(9, "solving") as update:
        for done in range(1, 9):
            terminal.resize(100 - 10 * done)
            update(done, "x" * 60)
    shown = re.split(
        r"[\r\n]+", re.sub(r"\x1b\[[0-9;]*[A-Z]", "", terminal.seen.decode(), flags=re.I)
    )
    bars = [text for text in shown if text.startswith("solving ")]
    assert "x" * 60 in bars[1]
    assert len(bars[-1]) < 20


def test_without_a_terminal_lines_come_now_and_then(clock, caplog):
    caplog.set_level(logging.INFO)
    with show_progress(10_000, "solving") as update:
        for done in range(1, 10_000):
            clock[0] = float(done)
            update(done, "")
    lines = caplog.messages
    assert lines[0] == "solving: 10/10000, 2:46:30 to go"
    assert lines[-1] == "solving: 9999/10000"
    assert 60 < len(lines) < 120


def test_losses_count_as_lines(clock, caplog):
    caplog.set_level(logging.INFO)
    for _ in train(TrainingProgress(shown=True), epochs=3, steps=8):
        clock[0] += 1.0
    assert caplog.messages == [f"epoch {n}/3: {LOSSES}" for n in (1, 2, 3)]


def test_the_first_step_is_no_part_of_the_time_to_go(clock, caplog):
    caplog.set_level(logging.INFO)
    progress = TrainingProgress(shown=True)
    progress.begin(1, 0, 50)
    for step in range(1, 13):
        clock[0] += 100.0 if step == 1 else 1.0
        progress.step(1, step)
    progress.close()
    assert caplog.messages == [
        "epoch 1/1: step 1/50",
        "epoch 1/1: step 11/50, 0:00:39 to go",
    ]


def test_a_bar_can_be_declined():
    with logged_terminal(100) as terminal:
        list(train(TrainingProgress(shown=False)))
        with no_progress(3, "solving") as update:
            update(3, "")
    assert terminal.seen.decode().splitlines() == [f"epoch {n}/3: {LOSSES}" for n in (1, 2, 3)]


def test_a_counter_learns_its_length_late(caplog):
    caplog.set_level(logging.INFO)
    with counter(show_progress, "counting") as count:
        count(1, 2)
        count(2, 2)
    with counter(show_progress, "nothing"):
        pass
    assert caplog.messages == ["counting: 2/2"]


@pytest.mark.parametrize("width", [1, 5, 12, 39, 59, 99, 300])
@pytest.mark.parametrize("name", ["", "3/50 scan", "x" * 500, "日本語" * 90, "a\n\x1b[2J\u202e"])
def test_a_line_fits(width, name):
    bar = Bar(f"{name}: solving", 90)
    for done in (18, 19, 20):
        bar.move(done, ["val 0.5", "train 0.25", "\x1b[31m日本語"])
    line = "".join(bar.line(width))
    assert cell_len(line) <= width
    assert line.isprintable()
    assert ("solving" in line) == (width >= 12)


def test_facts_are_left_out_from_the_end():
    bar = Bar("epoch 2/4", 4)
    bar.move(1, ["val 0.5", "train 0.25"])
    assert "".join(bar.line(100)) == f"epoch 2/4 {'━' * 7}{'─' * 23} 25 %, val 0.5, train 0.25"
    assert "".join(bar.line(36, full="#", empty="-")) == "epoch 2/4 ###--------- 25 %, val 0.5"
    assert "".join(bar.line(24)) == "epoch 2/4 ━━─────── 25 %"
    assert "".join(bar.line(20)) == "epoch 2/4 25 %"
