"""Whether the losses can be written where the configuration says."""

from importlib.util import find_spec
from typing import get_args

from ptycho_config.types import LoggerBackend

__all__ = ["check_logger"]

_PACKAGES = ("tensorboard", "mlflow")  # loggers that need a package of their name


def check_logger(name: str) -> None:
    """Refuse a logger that nobody knows, or whose package is missing.

    Raises
    ------
    ValueError
        With the names that are known.
    RuntimeError
        With the command that installs the package.
    """
    if name not in get_args(LoggerBackend):
        msg = f"logger_backend: csv, tensorboard, mlflow or none expected, found {name!r}"
        raise ValueError(msg)
    if name in _PACKAGES and find_spec(name) is None:
        msg = f"logger {name}: the package {name} is missing; run: pip install {name}"
        raise RuntimeError(msg)
