import io
import logging
import time

import pytest
from ptycho_cli.console import State, log, logging_to_stderr, progress, say, tell
from ptycho_core.testing.terminal import recorded_terminal


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [(-1, {"warned"}), (0, {"warned", "said", "foreign warning"}), (1, None)],
)
def test_levels(verbosity, shown, said):
    with logging_to_stderr(State(verbosity=verbosity)):
        logging.getLogger("ptycho_torch.training").warning("warned")
        log.info("said")
        logging.getLogger("ptycho_data.scan").debug("whispered")
        logging.getLogger("else").info("foreign")
        logging.getLogger("else").warning("foreign warning")
    lines = {line.removeprefix("warning: ") for line in said()[1].splitlines()}
    expected = shown or {"warned", "said", "whispered", "foreign warning"}
    assert lines - {"foreign warning"} == expected - {"foreign warning"}


def test_handler_goes_away():
    before = list(logging.getLogger().handlers)
    with logging_to_stderr(State()):
        pass
    assert logging.getLogger().handlers == before
    assert log.level == logging.NOTSET


def test_progress_without_a_terminal_is_a_line_at_the_end(said):
    with logging_to_stderr(State()), progress(3, "working") as update:
        for done in (1, 2, 3):
            update(done, f"step {done}")
    assert said()[1] == "working: 3/3, step 3\n"


def test_lines_have_a_time_where_there_is_no_terminal(capsys):
    with logging_to_stderr(State()):
        log.info("said")
        log.warning("warned")
    tell("failed", "error")
    timed, warned, error = capsys.readouterr().err.splitlines()
    stamps = [line.partition(" ")[0] for line in (timed, warned)]
    assert (timed, warned) == (f"{stamps[0]} said", f"{stamps[1]} warning: warned")
    for stamp in stamps:
        time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")
    assert error == "error: failed"


def test_a_terminal_shows_no_times_and_no_torn_lines(monkeypatch):
    monkeypatch.setattr("ptycho_core.progress.displays.INTERVAL", 0.0)
    with recorded_terminal(60) as terminal, logging_to_stderr(State()):
        with progress(3, "working") as update:
            for done in (1, 2, 3):
                update(done, "")
                log.warning("step %d", done)
        tell("failed", "error")
    lines = [*(f"warning: step {n}" for n in (1, 2, 3)), "working: 3/3", "error: failed"]
    assert terminal.lines == lines
    assert b"\xe2\x94\x81" in terminal.seen  # a part of a bar


def test_what_is_printed_cannot_control_the_terminal(said):
    hostile = "a\nno violation\x1b[2J\u202e"
    shown = "a\\nno violation\\x1b[2J\\u202e"
    say(f"{hostile}\ud800", "b")
    with logging_to_stderr(State()):
        log.info(hostile)
        log.warning("%s", hostile)
        logging.getLogger("framework").warning("two\nlines\x07")
    out, err = said()
    assert out == f"{shown}\\ud800\nb\n"
    assert err == f"{shown}\nwarning: {shown}\nwarning: two\nlines\\x07\n"


def test_other_encodings_get_escapes(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    say("5 µm")
    stream.flush()
    assert stream.buffer.getvalue() == b"5 \\xb5m\n"
