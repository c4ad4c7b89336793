"""Loggers by the names of the configuration."""

import importlib.util
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger

FOLDER = "logs"
_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}


def check_logger(name: str) -> None:
    """Refuse a logger whose package is missing.

    Raises
    ------
    RuntimeError
        With the command that installs it.
    """
    package = _PACKAGES.get(name)
    if package is not None and importlib.util.find_spec(package) is None:
        msg = f"logger {name}: the package {package} is missing; run: pip install {package}"
        raise RuntimeError(msg)


def make_logger(name: str, output_dir: Path, *, resume: bool = False) -> Logger | bool:
    """Return the logger ``name`` writing below ``output_dir``, or False for ``none``.

    A resumed training writes beside the losses of the epochs before, not over them.

    Raises
    ------
    RuntimeError
        If the logger's package is not installed, with the command that installs it.
    """
    check_logger(name)
    version = f"resumed-{len(list(output_dir.glob(f'{FOLDER}/resumed-*'))) + 1}" if resume else ""
    match name:
        case "csv":
            return CSVLogger(output_dir, name=FOLDER, version=version)
        case "tensorboard":
            return TensorBoardLogger(output_dir, name=FOLDER, version=version)
        case "mlflow":
            return MLFlowLogger(tracking_uri=f"file:{(output_dir / 'mlruns').resolve()}")
        case "none":
            return False
    msg = f"logger_backend: csv, tensorboard, mlflow or none expected, found {name!r}"
    raise ValueError(msg)
