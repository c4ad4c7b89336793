"""Check the logger of a configuration."""

from importlib.util import find_spec
from typing import get_args

from ptycho_config.errors import InvalidValueError, MissingPackageError
from ptycho_config.types import LoggerBackend

__all__ = ["check_logger"]

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
