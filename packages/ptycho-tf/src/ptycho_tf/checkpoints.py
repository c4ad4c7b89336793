"""Checkpoints: everything a training needs to resume exactly where it stopped.

A checkpoint is an NPZ file with all variables, in order, and a JSON text with the rest of the
state. It contains no code, is read without pickle, and is replaced atomically.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig
from ptycho_config.errors import InvalidValueError
from ptycho_core.checkpoints import CheckpointFiles, KeptEpochs, check_whole, newest_whole
from ptycho_core.resuming import CHANGES, check_resumed, resumed_changes
from ptycho_core.state_files import read_state, write_state

from ptycho_tf.frameworks import keras
from ptycho_tf.learning import LearningModel

FILES = CheckpointFiles("last.npz", "best-{:03}.npz")
VARIABLES = "variables"


def _variables(model: LearningModel) -> list[Any]:
    return [*model.model.variables, *model.optimizer.variables]


def save(path: Path, model: LearningModel, state: Mapping[str, Any]) -> None:
    """Write a checkpoint, atomically."""
    arrays = {f"variable_{k:04}": v.numpy() for k, v in enumerate(_variables(model))}
    write_state(path, arrays, state)


def read(path: Path) -> tuple[int, dict[str, Any]]:
    """Return the number of finished epochs in a checkpoint, and its state with all variables.

    Raises
    ------
    InvalidValueError
        If it is not a checkpoint.
    """
    try:
        arrays, state = read_state(path)
        state[VARIABLES] = [arrays[name] for name in sorted(arrays)]
        return int(state["finished"]), state
    except (LookupError, OSError, TypeError, ValueError) as error:
        rule = "a checkpoint of the TensorFlow backend"
        raise InvalidValueError(str(path), rule, "another file") from error


def load(path: Path, model: LearningModel) -> None:
    """Set all variables to those of a checkpoint.

    Raises
    ------
    InvalidValueError
        If the checkpoint was damaged since it was written.
    """
    check_whole(path)
    _assign(path, model, read(path)[1][VARIABLES])


def _assign(path: Path, model: LearningModel, values: list[NDArray[Any]]) -> None:
    variables = _variables(model)
    if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
        rule = "a checkpoint of the model that is trained"
        raise InvalidValueError(str(path), rule, "weights of other shapes")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def checkpoint_bytes(model: LearningModel) -> int:
    """Return the size of a checkpoint: all variables of the model and of the optimiser."""
    return sum(v.numpy().nbytes for v in _variables(model))


class Checkpoints(keras.callbacks.Callback):
    """Saves the last epoch and the best epochs.

    Parameters
    ----------
    files
        The checkpoints.
    execution
        Execution settings: number of best epochs to keep, and criterion.
    monitor
        Loss that determines the best epoch, by its name in Keras.
    parts
        Name to callback, for callbacks whose state is saved.
    of
        Scans and settings of the training, for `ptycho_core.resuming.check_resumed`.
    """

    def __init__(
        self,
        files: CheckpointFiles,
        execution: PyTorchExecutionConfig,
        monitor: str,
        parts: Mapping[str, Any],
        of: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.epochs = KeptEpochs(files, execution)
        self.monitor = monitor
        self.parts = parts
        self.of = dict(of)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the epoch that has just ended."""

        def write(path: Path) -> None:
            state = {
                "finished": epoch + 1,
                "kept": self.epochs.kept,
                "of": self.of,
                **{part: callback.state() for part, callback in self.parts.items()},
            }
            save(path, self.model, state)

        self.epochs.save(epoch + 1, float(logs[self.monitor]), write)

    def restore(self, model: LearningModel) -> int:
        """Restore the last checkpoint, or the newest that is whole; return its finished epochs.

        Raises
        ------
        InvalidValueError
            If there is none, or it belongs to a training of other variables.
        """
        path, finished, state = newest_whole(self.epochs.files, read)
        before = state.get("of", {})
        check_resumed(path, before, self.of)
        self.of[CHANGES] = resumed_changes(finished, before, self.of)
        _assign(path, model, state[VARIABLES])
        self.epochs.restore(state["kept"])
        for part, callback in self.parts.items():
            callback.restore(state[part])
        self.epochs.tidy()
        return finished
