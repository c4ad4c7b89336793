"""Checkpoints: everything a training needs to resume exactly where it stopped.

A checkpoint is an NPZ file with all variables, in order, and a JSON text with the rest of the
state. It contains no code, is read without pickle, and is replaced atomically.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ptycho_config import PyTorchExecutionConfig
from ptycho_config.errors import InvalidValueError
from ptycho_core.resuming import check_resumed
from ptycho_data import load_arrays, write_npz

from ptycho_tf.frameworks import keras
from ptycho_tf.learning import LearningModel

FOLDER = "checkpoints"
LAST = "last.npz"
_STATE = "state"


def _variables(model: LearningModel) -> list[Any]:
    return [*model.model.variables, *model.optimizer.variables]


def save(path: Path, model: LearningModel, state: Mapping[str, Any]) -> None:
    """Write a checkpoint, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"variable_{k:04}": v.numpy() for k, v in enumerate(_variables(model))}
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    write_npz(path, {**arrays, _STATE: text}, overwrite=True)


def load(path: Path, model: LearningModel, of: Mapping[str, Any]) -> dict[str, Any]:
    """Set all variables to those of a checkpoint; return the rest of its state.

    Raises
    ------
    InvalidValueError
        If it is not a checkpoint, or belongs to a training of other variables than ``of``.
    """
    variables = _variables(model)
    try:
        arrays = load_arrays(path)
        state: dict[str, Any] = json.loads(arrays.pop(_STATE).tobytes())
    except (KeyError, OSError, ValueError) as error:
        rule = "a checkpoint of the TensorFlow backend"
        raise InvalidValueError(str(path), rule, f"another file ({error})") from error
    check_resumed(path, state.get("of", {}), of)
    values = [arrays[name] for name in sorted(arrays)]
    if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
        rule = "a checkpoint of the model that is trained"
        raise InvalidValueError(str(path), rule, "weights of other shapes")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return state


class Checkpoints(keras.callbacks.Callback):
    """Saves the last epoch and the best epochs.

    Parameters
    ----------
    folder
        Folder of the checkpoints.
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
        folder: Path,
        execution: PyTorchExecutionConfig,
        monitor: str,
        parts: Mapping[str, Any],
        of: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.of = dict(of)
        self.folder = folder
        self.execution = execution
        self.monitor = monitor
        self.parts = parts
        self.kept: list[tuple[float, str]] = []  # best first

    @property
    def best(self) -> Path | None:
        """Checkpoint of the best epoch so far."""
        return self.folder / self.kept[0][1] if self.kept else None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the epoch that has just ended."""
        worse = 1 if self.execution.checkpoint_mode == "min" else -1
        score = worse * float(logs[self.monitor])
        name, most = f"best-{epoch:03}.npz", self.execution.checkpoint_save_top_k
        order = sorted([*self.kept, (score, name)], key=lambda kept: kept[0])
        dropped = order[most:] if most >= 0 else []
        before, self.kept = self.kept, order[: len(order) - len(dropped)]
        state = {
            "finished": epoch + 1,
            "kept": self.kept,
            "of": self.of,
            **{part: callback.state() for part, callback in self.parts.items()},
        }
        if (score, name) in self.kept:
            save(self.folder / name, self.model, state)
        save(self.folder / LAST, self.model, state)
        for old in dropped:
            if old in before:
                (self.folder / old[1]).unlink(missing_ok=True)

    def restore(self, model: LearningModel) -> dict[str, Any]:
        """Restore the last checkpoint; return its state."""
        state = load(self.folder / LAST, model, self.of)
        self.kept = [(float(score), str(name)) for score, name in state["kept"]]
        for part, callback in self.parts.items():
            callback.restore(state[part])
        return state
