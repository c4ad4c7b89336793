"""The logger of a configuration: whether it can be used, and where MLflow keeps its runs."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from attrs import frozen

from ptycho_config.errors import InvalidValueError, MissingPackageError
from ptycho_config.types import LoggerBackend

__all__ = ["MlflowStore", "check_logger", "mlflow_store"]

_URI = "MLFLOW_TRACKING_URI"
_PACKAGES = ("tensorboard", "mlflow")  # loggers that need a package of their name


def check_logger(name: str) -> None:
    """Refuse an unknown logger, or one whose package is missing.

    Raises
    ------
    InvalidValueError
        With the names of the loggers.
    MissingPackageError
        With the command that installs the package.
    """
    if name not in get_args(LoggerBackend):
        raise InvalidValueError("logger_backend", "csv, tensorboard, mlflow or none", repr(name))
    if name in _PACKAGES and find_spec(name) is None:
        msg = f"logger_backend {name} needs a package that is missing: pip install {name}"
        raise MissingPackageError(msg)
    if name == "mlflow" and not os.environ.get(_URI) and find_spec("sqlalchemy") is None:
        msg = (
            "logger_backend mlflow needs a package that mlflow-skinny lacks: pip install mlflow, "
            f"or set {_URI} to the address of a server"
        )
        raise MissingPackageError(msg)


@frozen
class MlflowStore:
    """Where MLflow keeps the runs.

    Attributes
    ----------
    uri
        Address of the tracking server or database.
    experiment
        Name of the experiment that the runs belong to.
    artifacts
        Folder for files of a new experiment; None leaves the choice to the server.
    """

    uri: str
    experiment: str
    artifacts: str | None


def mlflow_store(output_dir: Path) -> MlflowStore:
    """Return the store that MLflow's own environment variables name, else one in the output folder.

    The variables are ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME``. Without the first, the
    runs are in the database ``mlflow.db`` of the folder.
    """
    folder = output_dir.resolve()
    given = os.environ.get(_URI)
    return MlflowStore(
        uri=given or f"sqlite:///{folder / 'mlflow.db'}",
        experiment=os.environ.get("MLFLOW_EXPERIMENT_NAME") or "ptycho",
        artifacts=None if given else (folder / "mlartifacts").as_uri(),
    )
