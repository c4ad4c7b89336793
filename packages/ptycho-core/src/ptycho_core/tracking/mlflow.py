"""The run of a training in MLflow."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ptycho_config.errors import InvalidValueError
from ptycho_config.loggers import MlflowStore, mlflow_store
from ptycho_data import atomic_path

from ptycho_core.stopping import StopReason
from ptycho_core.tracking.base import LOG_FOLDER, Epochs, Settings, Tracker, without_password

__all__ = ["MlflowRun"]

#: Used unless the user has set them. A server that is gone should not hold the training up for
#: minutes; nobody asked for reports about the use of MLflow, and standard output is ours.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
#: Most parameters, and most characters of one, that a request may have.
PARAMETERS, CHARACTERS = 100, 500
_STATUS = {"epochs": "FINISHED", "plateau": "FINISHED", "interrupted": "KILLED", None: "FAILED"}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence messages about the tables of a new database, and about requests that are repeated."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class MlflowRun(Tracker):
    """Writes a run: settings as parameters, values as metrics, the model and pictures as artifacts.

    A resumed training continues the run that it began, if that is still there. Its parameters stay
    those of the beginning, since MLflow changes none; a changed one becomes a tag ``resumed.NAME``.

    Parameters
    ----------
    output
        Output folder of the training.
    settings
        Settings of the training.
    resumed
        Whether to continue a run.

    Raises
    ------
    InvalidValueError
        The server or database does not take the run.
    """

    pictures = True

    def __init__(self, output: Path, settings: Settings, *, resumed: bool) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self.note = output / LOG_FOLDER / "mlflow_run.txt"
        mlflow = import_module("mlflow")
        self.entities: Any = import_module("mlflow.entities")
        store = mlflow_store(output)
        with _quiet():
            try:
                output.mkdir(parents=True, exist_ok=True)
                self.client: Any = mlflow.MlflowClient(store.uri)
                run = self._earlier() if resumed else None
                self.run: str = (run or self._new(store, output.resolve().name)).info.run_id
                self._describe(settings, {} if run is None else run.data.params)
            except Exception as error:  # its stores raise what the libraries below them raise
                reason = " ".join(str(error).split())
                raise InvalidValueError(
                    "MLFLOW_TRACKING_URI",
                    "a server or a database that takes the run",
                    without_password(store.uri),
                    f"it says: {without_password(reason)}",
                ) from error

    @_quiet()
    def epoch(self, epochs: Epochs) -> None:
        """Write the values of an epoch as metrics, at its number."""
        if not self.note.exists() or self.note.read_text("utf-8") != self.run:
            with atomic_path(self.note, overwrite=True) as temporary:
                temporary.write_text(self.run, "utf-8")
        now, step = int(1000 * time.time()), len(epochs)
        metrics = [self.entities.Metric(k, v, now, step) for k, v in epochs[-1].items()]
        self.client.log_batch(self.run, metrics=metrics)

    @_quiet()
    def results(self, files: Sequence[Path], pictures: Mapping[str, bytes]) -> None:
        """Store the files of the model and the pictures as artifacts."""
        for path in files:
            self.client.log_artifact(self.run, str(path))
        with tempfile.TemporaryDirectory(prefix="ptycho-") as folder:
            for name, content in pictures.items():
                path = Path(folder) / f"{name}.png"
                path.write_bytes(content)
                self.client.log_artifact(self.run, str(path), "pictures")

    @_quiet()
    def close(self, stopped: StopReason | None) -> None:
        """End the run with its status."""
        self.client.set_terminated(self.run, _STATUS[stopped])

    def _earlier(self) -> Any | None:
        """Return the run to continue, or None if it is not there."""
        try:
            run = self.client.get_run(self.note.read_text("utf-8").strip())
        except FileNotFoundError:
            return None
        except import_module("mlflow.exceptions").MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        self.client.update_run(run.info.run_id, "RUNNING")
        return run

    def _new(self, store: MlflowStore, name: str) -> Any:
        found = self.client.get_experiment_by_name(store.experiment)
        number = (
            found.experiment_id
            if found
            else self.client.create_experiment(store.experiment, store.artifacts)
        )
        return self.client.create_run(number, run_name=name)

    def _describe(self, settings: Settings, before: Mapping[str, str]) -> None:
        now = {name: str(value)[:CHARACTERS] for name, value in settings.items()}
        new = [self.entities.Param(k, v) for k, v in now.items() if k not in before]
        for start in range(0, len(new), PARAMETERS):
            self.client.log_batch(self.run, params=new[start : start + PARAMETERS])
        for name, value in now.items():
            if before.get(name, value) != value:
                self.client.set_tag(self.run, f"resumed.{name}", value)
