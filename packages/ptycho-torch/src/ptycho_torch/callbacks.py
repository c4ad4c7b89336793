"""Training callbacks: history of losses, display, early stopping, averaging of weights."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging
from ptycho_core.averaging import averaging_share
from ptycho_core.live_page import Publisher
from ptycho_core.loss_record import LossRecord
from ptycho_core.progress.training import TrainingProgress
from ptycho_core.stopping import Patience
from ptycho_core.tracking.base import Tracker
from torch import Tensor


class LossHistory(pl.Callback):
    """Keeps the losses of every epoch in a `ptycho_core.loss_record.LossRecord`.

    Parameters
    ----------
    tracker
        Where they are also written to.

    Attributes
    ----------
    record : LossRecord
        The losses, also saved in the checkpoint.
    """

    KEY = "LossHistory"

    def __init__(self, tracker: Tracker) -> None:
        self.record = LossRecord(tracker)

    @property
    def state_key(self) -> str:
        """Name under which a checkpoint keeps the history."""
        return self.KEY

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """Begin to measure the time of an epoch."""
        self.record.begin()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch that has just ended, after its validation.

        Raises
        ------
        DivergenceError
            If a loss is not finite.
        """
        losses = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith(("train_", "val_"))
        }
        rate = float(pl_module.optimizers().param_groups[0]["lr"])
        self.record.end(losses, rate, tell=trainer.is_global_zero)

    def state_dict(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return self.record.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the history from a checkpoint."""
        self.record.restore(state_dict)


class EpochDisplay(pl.Callback):
    """Shows the training on the process that reports, if there are several.

    Parameters
    ----------
    record
        The losses; the callback that records them is called before this one.
    shown
        Whether there is a bar.
    page
        Live page that shows how far it is.
    """

    def __init__(self, record: LossRecord, *, shown: bool, page: Publisher | None = None) -> None:
        self.record = record
        self.progress = TrainingProgress(shown=shown, page=page)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """Show the bar."""
        if trainer.is_global_zero:
            epochs, steps = trainer.max_epochs or 0, int(trainer.num_training_batches)
            self.progress.begin(epochs, trainer.current_epoch, steps)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002 - Lightning's signature
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """Move the bar."""
        if trainer.is_global_zero:
            self.progress.step(trainer.current_epoch + 1, batch_idx + 1)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """Log the losses."""
        if trainer.is_global_zero:
            self.progress.end_epoch(self.record.epochs[-1])

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        """Remove the bar."""
        self.progress.close()

    def on_exception(
        self,
        trainer: pl.Trainer,  # noqa: ARG002 - Lightning's signature
        pl_module: pl.LightningModule,  # noqa: ARG002
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        """Remove the bar."""
        self.progress.close()


class Look(pl.Callback):
    """Shows the model after each epoch, without a change to the random numbers of the training.

    Parameters
    ----------
    look
        ``look`` of `ptycho_core.training_job.TrainingJob`.
    """

    def __init__(self, look: Callable[[Any, int], None]) -> None:
        self.look = look

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the model."""
        with torch.random.fork_rng():
            self.look(pl_module.model, trainer.current_epoch + 1)


class EarlyStopping(pl.Callback):
    """Ends a training whose monitored loss no longer improves.

    Parameters
    ----------
    monitor
        Name of the loss.
    patience
        Its state; part of the checkpoint.
    """

    def __init__(self, monitor: str, patience: Patience) -> None:
        self.monitor = monitor
        self.patience = patience

    @property
    def state_key(self) -> str:
        """Name under which a checkpoint keeps the state."""
        return "EarlyStopping"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """Train no further epoch if the training had ended before it was resumed."""
        trainer.should_stop = self.patience.exhausted

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """End the training if the patience is exhausted."""
        # the loss, averaged over all processes, is the same in each of them
        if self.patience.after(float(trainer.callback_metrics[self.monitor])):
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return self.patience.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.patience.restore(state_dict)


class MeanOfWeights(WeightAveraging):
    """Keeps the mean of the weights after every step so far: see `ptycho_core.averaging`.

    Steps use the weights; validation and checkpoints use their mean.
    """

    def __init__(self) -> None:
        super().__init__(use_buffers=False, avg_fn=_moved)


def _moved(mean: Tensor, weights: Tensor, before: Tensor | int) -> Tensor:
    """Return the mean after one more step; it covers ``before`` steps so far."""
    return mean + (weights - mean) * averaging_share(before + 1)
