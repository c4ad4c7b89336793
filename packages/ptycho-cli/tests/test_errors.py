import click
import pytest
from ptycho_cli.console import State
from ptycho_cli.errors import FAILED, INTERRUPTED, USAGE, report, shorten, sparing_results
from ptycho_config import ConfigError
from ptycho_core.backends import require
from ptycho_data import OutputExistsError


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
        (OutputExistsError("here"), FAILED, "here: exists already"),
        (
            FileNotFoundError(2, "No such file or directory", "gone.npz"),
            FAILED,
            "gone.npz: No such",
        ),
        (MemoryError(), FAILED, "not enough memory"),
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


def test_value_error_of_ours_is_told_as_it_is(capsys):
    assert report(raised(lambda: require("caffe"))) == FAILED
    assert capsys.readouterr().err.startswith("error: backend 'caffe' is unknown")


def test_value_error_of_others_is_a_defect(capsys):
    assert report(raised(lambda: int("x"))) == FAILED
    assert "internal error: ValueError: invalid literal" in capsys.readouterr().err


def test_debug_adds_the_traceback(capsys):
    report(raised(lambda: int("x")), debug=True)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_messages_fold_into_two_lines(capsys):
    report(ConfigError("first\nsecond\n\nthird"))
    assert capsys.readouterr().err.splitlines() == ["error: first", "  second; third"]
    assert shorten("") == ""
    assert len(shorten("x" * 5000)) <= 1000


def test_results_are_spared_a_failure(caplog, capsys):
    with sparing_results("no picture"):
        require("caffe")
    with sparing_results("no numbers"):
        int("x")
    own, defect = (record.getMessage() for record in caplog.records)
    assert own.startswith("no picture: backend 'caffe' is unknown")
    assert defect.startswith("no numbers: internal error: ValueError: invalid literal")
    assert defect.endswith("please report it; --debug shows the traceback")
    assert "Traceback" not in capsys.readouterr().err
    debugging = click.Context(click.Command("x"), obj=State(debug=True))
    with debugging, sparing_results("no numbers"):
        int("x")
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_interruption_spares_nothing():
    with pytest.raises(KeyboardInterrupt), sparing_results("no picture"):
        raise KeyboardInterrupt
