"""The tracker of a training: chosen by its settings, closed however the training ends."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ptycho_config import PyTorchExecutionConfig, TrainingConfig, to_dict
from ptycho_config.loggers import check_logger
from ptycho_data import Scan

from ptycho_core.tracking.base import Settings, SparingTracker, Tracker
from ptycho_core.tracking.losses_table import LossesTable
from ptycho_core.tracking.mlflow import MlflowRun
from ptycho_core.tracking.tensorboard import TensorBoardEvents

__all__ = ["settings_of", "tracked"]


def settings_of(
    config: TrainingConfig, execution: PyTorchExecutionConfig, scans: Sequence[Scan]
) -> Settings:
    """Return the settings of a training by name, as a tracker shows them."""
    values = to_dict(config)
    nested = {**values.pop("model"), **values, **to_dict(execution)}
    plain = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in nested.items()
    }
    return {**plain, "scans": ", ".join(scan.label for scan in scans)}


@contextmanager
def tracked(name: str, output: Path, settings: Settings, *, resumed: bool) -> Iterator[Tracker]:
    """Open a tracker; it is closed after an error, and otherwise by the training.

    Parameters
    ----------
    name
        ``csv``, ``tensorboard``, ``mlflow`` or ``none``.
    output
        Output folder of the training.
    settings
        Settings of the training by name.
    resumed
        Whether the training continues one whose values have been tracked.

    Raises
    ------
    InvalidValueError
        There is no such tracker, or it cannot be opened.
    MissingPackageError
        With the command that installs its package.
    """
    check_logger(name)
    match name:
        case "csv":
            tracker: Tracker = LossesTable(output)
        case "tensorboard":
            tracker = TensorBoardEvents(output, settings, resumed=resumed)
        case "mlflow":
            tracker = MlflowRun(output, settings, resumed=resumed)
        case _:
            tracker = Tracker()
    sparing = SparingTracker(name, tracker)
    try:
        yield sparing
    except BaseException as error:
        sparing.close("interrupted" if isinstance(error, KeyboardInterrupt) else None)
        raise
