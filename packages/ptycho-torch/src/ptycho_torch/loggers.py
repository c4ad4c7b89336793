"""Make the logger that the configuration names."""

from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from ptycho_config.loggers import check_logger, mlflow_store

FOLDER = "logs"


def make_logger(name: str, output_dir: Path, *, resume: bool = False) -> Logger | bool:
    """Return the logger ``name`` writing below ``output_dir``, or False for ``none``.

    A resumed training writes to a new folder and keeps the losses of earlier epochs.

    Raises
    ------
    ValueError, RuntimeError
        If there is no such logger, or its package is missing: see `check_logger`.
    """
    check_logger(name)
    version = f"resumed-{len(list(output_dir.glob(f'{FOLDER}/resumed-*'))) + 1}" if resume else ""
    match name:
        case "csv":
            return CSVLogger(output_dir, name=FOLDER, version=version)
        case "tensorboard":
            return TensorBoardLogger(output_dir, name=FOLDER, version=version)
        case "mlflow":
            store = mlflow_store(output_dir)
            return MLFlowLogger(
                store.experiment, tracking_uri=store.uri, artifact_location=store.artifacts
            )
    return False
