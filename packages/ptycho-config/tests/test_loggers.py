from pathlib import Path

import pytest
from ptycho_config import InvalidValueError, MissingPackageError
from ptycho_config.loggers import check_logger, mlflow_store


def test_losses_can_always_be_written_as_csv_or_not_at_all():
    check_logger("csv")
    check_logger("none")


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_logger_is_named_with_the_pip_command(name, monkeypatch):
    monkeypatch.setattr("ptycho_config.loggers.find_spec", lambda package: package != name or None)
    with pytest.raises(MissingPackageError, match=f"pip install {name}"):
        check_logger(name)


def test_a_database_needs_more_than_the_client_of_mlflow(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("ptycho_config.loggers.find_spec", lambda name: name == "mlflow" or None)
    with pytest.raises(MissingPackageError, match="pip install mlflow, or set MLFLOW_TRACKING_URI"):
        check_logger("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org")
    check_logger("mlflow")


def test_an_unknown_logger_is_refused():
    with pytest.raises(InvalidValueError) as refused:
        check_logger("paper")
    assert (refused.value.name, refused.value.got) == ("logger_backend", "'paper'")


def test_mlflow_keeps_its_runs_in_the_output_folder(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    store = mlflow_store(Path("out"))
    assert store.uri == f"sqlite:///{tmp_path / 'out' / 'mlflow.db'}"
    assert store.artifacts == (tmp_path / "out" / "mlartifacts").as_uri()
    assert store.experiment == "ptycho"


def test_the_environment_of_mlflow_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org/mlflow")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "beamtime")
    store = mlflow_store(tmp_path)
    assert (store.uri, store.experiment) == ("https://example.org/mlflow", "beamtime")
    assert store.artifacts is None  # on the server, not on this machine
