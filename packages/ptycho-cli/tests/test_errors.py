import click
import numpy as np
import pytest
from ptycho_cli.errors import report, shorten
from ptycho_config import ConfigError, InvalidValueError
from ptycho_core.backends import require
from ptycho_core.exit_codes import (
    BELOW_QUALITY,
    EXISTS,
    FAILED,
    INTERRUPTED,
    USAGE,
    BelowQualityError,
)
from ptycho_data import BundleError, OutputExistsError, ScanFormatError


def raised(function):
    try:
        function()
    except Exception as error:
        return error
    pytest.fail("nothing was raised")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("N must be one of 64, 128, 256, got 65"), FAILED, "got 65"),
        (OutputExistsError("here"), EXISTS, "here: exists already"),
        (BelowQualityError("R-factor", "at most 1", "2"), BELOW_QUALITY, "at most 1"),
        (
            FileNotFoundError(2, "No such file or directory", "gone.npz"),
            FAILED,
            "gone.npz: No such",
        ),
        (MemoryError(), FAILED, "out of memory"),
        (click.UsageError("bad"), USAGE, "bad"),
        (click.FileError("x", "broken"), FAILED, "broken"),
        (click.Abort(), INTERRUPTED, "interrupted"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted"),
        (KeyboardInterrupt("interrupted after 3 epochs"), INTERRUPTED, "after 3 epochs"),
    ],
)
def test_code_and_text(error, code, text, capsys):
    assert report(error) == code
    assert text in capsys.readouterr().err


def test_an_error_for_people_is_one_line(capsys):
    assert report(raised(lambda: require("caffe"))) == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: backend must be one of pytorch, tensorflow")


def too_many_values():
    _a, _b = (1, 2, 3)


def unequal_lengths():
    return list(zip([1, 2], [1], strict=True))


@pytest.mark.parametrize(
    "defect",
    [
        too_many_values,  # raised by the interpreter, and by C code: no frame tells whose mistake
        unequal_lengths,
        lambda: int("x"),
        lambda: np.zeros(3).reshape(2, 2),
        lambda: {}["missing"],
    ],
)
def test_everything_else_is_a_defect_of_ours(defect, capsys):
    assert report(raised(defect)) == FAILED
    err = capsys.readouterr().err
    assert err.startswith("error: internal error: ")
    assert "please report it" in err


def test_debug_adds_the_traceback(capsys):
    report(raised(lambda: int("x")), debug=True)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_messages_fold_into_two_lines(capsys):
    report(click.UsageError("first"))
    assert capsys.readouterr().err.splitlines() == ["error: first", "  see `ptycho --help`"]
    assert shorten("first\nsecond\n\nthird") == "first\nsecond; third"
    assert shorten("") == ""
    assert len(shorten("x" * 5000)) <= 1000


HOSTILE = "a\nno violation\r\x1b[2J\x9b1m\u202egpj\ud800\u2028\x00" + "x" * 5000


@pytest.mark.parametrize(
    "error",
    [
        ConfigError(f"{HOSTILE} is not a setting"),
        InvalidValueError(HOSTILE, "a number", HOSTILE, HOSTILE),
        OutputExistsError(HOSTILE),
        BundleError(HOSTILE, HOSTILE),
        ScanFormatError.of("scan.npz", HOSTILE, "a number", HOSTILE),
        FileNotFoundError(2, "No such file or directory", HOSTILE),
        OSError(HOSTILE),
        OSError(9, "Bad file descriptor", 7),
        click.UsageError(HOSTILE),
        click.FileError("a\nb\x1b\udce9", "broken"),
        KeyboardInterrupt(HOSTILE),
        RuntimeError(HOSTILE),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_nothing_in_a_message_controls_the_terminal(error, debug, capsys):
    report(error, debug=debug)
    err = capsys.readouterr().err
    assert all(line.isprintable() for line in err.split("\n"))
    assert not any(line.startswith("no violation") for line in err.split("\n"))
    if not debug:
        assert err.count("\n") <= 2
        assert len(err) < 1200


def test_the_rule_survives_long_names():
    error = InvalidValueError("n" * 5000, "a number", "g" * 5000, "write one")
    assert "nnn must be a number, got ggg" in str(error)
    assert str(error).endswith("ggg; write one")
    assert len(str(error)) < 700
