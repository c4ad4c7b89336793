import pytest
from ptycho_config import InvalidValueError
from ptycho_core.sparing import sparing_results


def test_results_are_spared_a_failure(caplog):
    with sparing_results("no picture"):
        raise InvalidValueError("size", "at least 1", "0")
    with sparing_results("no numbers"):
        int("x")
    own, defect = caplog.records
    assert own.getMessage() == "no picture: size must be at least 1, got 0"
    assert defect.getMessage().startswith("no numbers: internal error, please report it")
    assert defect.exc_info[0] is ValueError  # for who shows tracebacks


def test_an_interruption_spares_nothing():
    with pytest.raises(KeyboardInterrupt), sparing_results("no picture"):
        raise KeyboardInterrupt
