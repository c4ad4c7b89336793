"""Make the logger that the configuration names."""

from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger
from ptycho_config.loggers import check_logger, mlflow_store
from ptycho_core.losses_table import LossesTable

FOLDER = "logs"


def make_logger(name: str, output_dir: Path, *, resume: bool = False) -> Logger | bool:
    """Return Lightning's logger ``name`` writing below ``output_dir``.

    For ``none`` it is False, and for ``csv`` too: see `losses_table`.

    A resumed training writes to a new folder and keeps the losses of earlier epochs.

    Raises
    ------
    ValueError, RuntimeError
        If there is no such logger, or its package is missing: see `check_logger`.
    """
    check_logger(name)
    match name:
        case "tensorboard":
            version = _version(output_dir, resume=resume)
            return TensorBoardLogger(output_dir, name=FOLDER, version=version)
        case "mlflow":
            store = mlflow_store(output_dir)
            return MLFlowLogger(
                store.experiment, tracking_uri=store.uri, artifact_location=store.artifacts
            )
    return False


def losses_table(name: str, output_dir: Path, *, resume: bool = False) -> LossesTable | None:
    """Return the table that the logger ``csv`` writes, and None for other loggers."""
    if name != "csv":
        return None
    return LossesTable(output_dir / FOLDER / _version(output_dir, resume=resume) / "metrics.csv")


def _version(output_dir: Path, *, resume: bool) -> str:
    return f"resumed-{len(list(output_dir.glob(f'{FOLDER}/resumed-*'))) + 1}" if resume else ""
