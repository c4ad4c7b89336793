"""Loggers that the configuration can name."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ptycho_config.loggers import MlflowStore, check_logger, mlflow_store
from ptycho_core.losses_table import LossesTable

from ptycho_tf.frameworks import tf

FOLDER = "logs"


class Logger(ABC):
    """Base class: writes the losses of each epoch."""

    @abstractmethod
    def write(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write the named values of an epoch."""

    def close(self) -> None:  # noqa: B027 - nothing to close is the usual case
        """Finish."""


class NoLogger(Logger):
    """Writes nothing."""

    def write(self, epoch: int, values: Mapping[str, float]) -> None:
        """Do nothing."""


class CsvLogger(Logger):
    """Writes ``metrics.csv``, one line per epoch."""

    def __init__(self, folder: Path) -> None:
        self.table = LossesTable(folder / "metrics.csv")

    def write(self, epoch: int, values: Mapping[str, float]) -> None:
        """Add a line."""
        self.table.write(epoch, values)


class TensorBoardLogger(Logger):
    """Writes events for TensorBoard."""

    def __init__(self, folder: Path) -> None:

        self.summary: Any = tf.summary
        self.writer: Any = tf.summary.create_file_writer(str(folder))

    def write(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write the values as scalars, at the number of the epoch."""
        with self.writer.as_default(step=epoch):
            for name, value in values.items():
                self.summary.scalar(name, value)
        self.writer.flush()

    def close(self) -> None:
        """Close the file."""
        self.writer.close()


class MlflowLogger(Logger):
    """Writes a run of MLflow."""

    def __init__(self, store: MlflowStore) -> None:
        mlflow = import_module("mlflow")
        self.client: Any = mlflow.MlflowClient(store.uri)
        found = self.client.get_experiment_by_name(store.experiment)
        number = (
            found.experiment_id
            if found
            else self.client.create_experiment(store.experiment, store.artifacts)
        )
        self.run = self.client.create_run(number).info.run_id

    def write(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write the values as metrics."""
        for name, value in values.items():
            self.client.log_metric(self.run, name, value, step=epoch)

    def close(self) -> None:
        """End the run."""
        self.client.set_terminated(self.run)


def make_logger(name: str, output_dir: Path, *, resume: bool = False) -> Logger:
    """Return the logger ``name`` writing below ``output_dir``.

    A resumed training writes to a new folder and keeps the losses of earlier epochs.

    Raises
    ------
    ValueError, RuntimeError
        If there is no such logger, or its package is missing: see `check_logger`.
    """
    check_logger(name)
    folder = output_dir / FOLDER
    if resume:
        folder = folder / f"resumed-{len(list(folder.glob('resumed-*'))) + 1}"
    match name:
        case "csv":
            return CsvLogger(folder)
        case "tensorboard":
            return TensorBoardLogger(folder)
        case "mlflow":
            return MlflowLogger(mlflow_store(output_dir))
    return NoLogger()
