import pytest
from ptycho_config import InvalidValueError, MissingPackageError
from ptycho_config.loggers import check_logger


def test_losses_can_always_be_written_as_csv_or_not_at_all():
    check_logger("csv")
    check_logger("none")


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_logger_is_named_with_the_pip_command(name, monkeypatch):
    monkeypatch.setattr("ptycho_config.loggers.find_spec", lambda package: package != name or None)
    with pytest.raises(MissingPackageError, match=f"pip install {name}"):
        check_logger(name)


def test_an_unknown_logger_is_refused():
    with pytest.raises(InvalidValueError) as refused:
        check_logger("paper")
    assert (refused.value.name, refused.value.got) == ("logger_backend", "'paper'")
