"""Checkpoints of Lightning: everything a training needs to resume exactly where it stopped."""

import io
import pickle
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from ptycho_config import PyTorchExecutionConfig
from ptycho_config.errors import InvalidValueError
from ptycho_core.checkpoints import (
    CheckpointFiles,
    KeptEpochs,
    check_whole,
    newest_whole,
    write_sealed,
)
from ptycho_core.resuming import Changes, check_resumed, resumed_changes

from ptycho_torch.callbacks import LossHistory
from ptycho_torch.model import PtychoModel
from ptycho_torch.module import PtychoModule

# What `torch.load` raises on other files, and what is missing from other checkpoints.
_UNREADABLE = (OSError, RuntimeError, EOFError, pickle.UnpicklingError, LookupError, TypeError)

FILES = CheckpointFiles("last.ckpt", "best-epoch={:03}.ckpt")


class CheckpointWriter(TorchCheckpointIO):
    """Writes checkpoints atomically; Lightning's own go through the temporary folder."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint."""
        if storage_options is not None:
            raise TypeError("storage_options are not supported")
        # PyTorch, where it writes to a file itself, does not say that a disk is full.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_sealed(Path(path), content.getbuffer())


class Checkpoints(Checkpoint):
    """Saves the last epoch and the best epochs.

    Parameters
    ----------
    files
        The checkpoints.
    execution
        Number of best epochs to keep, and criterion.
    monitor
        Loss that determines the best epoch.
    """

    KEY = "Checkpoints"

    def __init__(
        self, files: CheckpointFiles, execution: PyTorchExecutionConfig, monitor: str
    ) -> None:
        self.epochs = KeptEpochs(files, execution)
        self.monitor = monitor

    @property
    def state_key(self) -> str:
        """Name under which a checkpoint keeps the state."""
        return self.KEY

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """Save the epoch that has just ended."""
        self.epochs.save(
            trainer.current_epoch + 1,
            float(trainer.callback_metrics[self.monitor]),
            lambda path: trainer.save_checkpoint(path, weights_only=False),
            trainer.strategy.remove_checkpoint,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return {"kept": self.epochs.kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint; its folder may have moved since."""
        self.epochs.restore(state_dict["kept"])


def read(path: Path) -> tuple[int, dict[str, Any]]:
    """Return the number of finished epochs in a checkpoint, and its content.

    Raises
    ------
    InvalidValueError
        If it is not a checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        parts = state["callbacks"]
        parts[Checkpoints.KEY]["kept"]  # without it, the best epoch would be lost
        return len(parts[LossHistory.KEY]["epochs"]), state
    except _UNREADABLE as error:
        rule = "a checkpoint of the PyTorch backend"
        raise InvalidValueError(str(path), rule, "another file") from error


def resume_from(files: CheckpointFiles, of: dict[str, Any]) -> tuple[Path, int, Changes]:
    """Return the checkpoint to resume from, its number of finished epochs, and what is changed.

    Raises
    ------
    InvalidValueError
        If there is none, or it belongs to a training of other variables than ``of``.
    """
    path, epochs, state = newest_whole(files, read)
    before = state.get("of", {})
    check_resumed(path, before, of)
    return path, epochs, resumed_changes(epochs, before, of)


def load_weights(path: Path, model: PtychoModel) -> None:
    """Load the weights of a checkpoint into a model.

    Raises
    ------
    InvalidValueError
        If the checkpoint was damaged since it was written.
    """
    check_whole(path)
    prefix = "model."
    state = {k.removeprefix(prefix): v for k, v in read(path)[1]["state_dict"].items()}
    model.load_state_dict(state)


def checkpoint_bytes(module: PtychoModule) -> int:
    """Return the size of a checkpoint: parameters, buffers and both moments of the optimiser."""
    values = sum(value.nbytes for value in module.state_dict().values())
    trained = sum(value.nbytes for value in module.parameters() if value.requires_grad)
    optics = sum(2 * own.probe.nbytes for own in module.model.optics)  # and the bad pixels
    return values * (2 if module.config.average_weights else 1) + 2 * trained + optics
