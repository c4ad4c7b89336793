import io
import logging

import pytest
from ptycho_cli.console import State, log, logging_to_stderr, progress, say
from ptycho_core.progress import counter


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [(-1, {"warned"}), (0, {"warned", "said", "foreign warning"}), (1, None)],
)
def test_levels(verbosity, shown, capsys):
    with logging_to_stderr(State(verbosity=verbosity)):
        logging.getLogger("ptycho_torch.training").warning("warned")
        log.info("said")
        logging.getLogger("ptycho_data.scan").debug("whispered")
        logging.getLogger("else").info("foreign")
        logging.getLogger("else").warning("foreign warning")
    lines = {line.removeprefix("warning: ") for line in capsys.readouterr().err.splitlines()}
    expected = shown or {"warned", "said", "whispered", "foreign warning"}
    assert lines - {"foreign warning"} == expected - {"foreign warning"}


def test_handler_goes_away():
    before = list(logging.getLogger().handlers)
    with logging_to_stderr(State()):
        pass
    assert logging.getLogger().handlers == before
    assert log.level == logging.NOTSET


def test_progress_without_a_terminal_is_a_line_at_the_end(capsys):
    with logging_to_stderr(State()), progress(3, "working") as update:
        for done in (1, 2, 3):
            update(done, f"step {done}")
    assert capsys.readouterr().err == "working: 3/3 step 3\n"


def test_counter_learns_its_length_late(capsys):
    with logging_to_stderr(State()):
        with counter(progress, "counting") as update:
            update(1, 2)
            update(2, 2)
        with counter(progress, "nothing"):
            pass
    assert capsys.readouterr().err == "counting: 2/2\n"


def test_what_is_printed_cannot_control_the_terminal(capsys):
    hostile = "a\nno violation\x1b[2J\u202e"
    shown = "a\\nno violation\\x1b[2J\\u202e"
    say(f"{hostile}\ud800", "b")
    with logging_to_stderr(State()):
        log.info(hostile)
        log.warning("%s", hostile)
        logging.getLogger("framework").warning("two\nlines\x07")
    captured = capsys.readouterr()
    assert captured.out == f"{shown}\\ud800\nb\n"
    assert captured.err == f"{shown}\nwarning: {shown}\nwarning: two\nlines\\x07\n"


def test_other_encodings_get_escapes(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    say("5 µm")
    stream.flush()
    assert stream.buffer.getvalue() == b"5 \\xb5m\n"
