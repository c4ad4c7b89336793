"""Training callbacks: partition of the epoch, history, logs, early stopping, interrupts."""

from collections.abc import Callable
from typing import Any

from ptycho_core import interrupts
from ptycho_core.loss_record import LossRecord
from ptycho_core.progress.training import TrainingProgress
from ptycho_core.stopping import Patience
from ptycho_core.tracking.base import Tracker

from ptycho_tf.data import BatchSource
from ptycho_tf.frameworks import keras
from ptycho_tf.model import PtychoModel


class EpochStart(keras.callbacks.Callback):
    """Passes the number of the epoch to the source of batches and to the loss."""

    def __init__(self, source: BatchSource) -> None:
        super().__init__()
        self.source = source

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Set the partition of the epoch and the smoothing of its likelihood."""
        self.source.epoch = epoch
        self.model.begin_epoch(epoch)


class MeanOfWeights(keras.callbacks.Callback):
    """Validates with the mean of the weights, if the optimiser keeps it.

    Steps use the weights themselves.
    """

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Replace the weights by their mean."""
        self.model.exchange_with_means()

    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Restore the weights."""
        self.model.exchange_with_means()


class LossHistory(keras.callbacks.Callback):
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

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self.record = LossRecord(tracker)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Begin to measure the time of an epoch."""
        self.record.begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Record the epoch that has just ended, after its validation.

        Raises
        ------
        DivergenceError
            If a loss is not finite.
        """
        losses = {k if k.startswith("val_") else f"train_{k}": float(v) for k, v in logs.items()}
        rate = float(self.model.optimizer.learning_rate.numpy())
        self.record.end(losses, rate, tell=True)

    def state(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return self.record.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.record.restore(state)


class EpochDisplay(keras.callbacks.Callback):
    """Shows the training.

    Parameters
    ----------
    record
        The losses; the callback that records them is called before this one.
    progress
        What shows it; whoever calls `fit` closes it.
    """

    def __init__(self, record: LossRecord, progress: TrainingProgress) -> None:
        super().__init__()
        self.record = record
        self.progress = progress
        self.epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Show the bar."""
        done = len(self.record.epochs)
        self.progress.begin(self.params["epochs"], done, self.params["steps"])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Note the number of the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Move the bar."""
        self.progress.step(self.epoch + 1, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Log the losses."""
        self.progress.end_epoch(self.record.epochs[-1])


class Look(keras.callbacks.Callback):
    """Shows the model after each epoch, without a change to the random numbers of the training.

    Parameters
    ----------
    look
        ``look`` of `ptycho_core.training_job.TrainingJob`.
    model
        The model that is trained.
    """

    def __init__(self, look: Callable[[Any, int], None], model: PtychoModel) -> None:
        super().__init__()
        self.look = look
        self.shown = model

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Show the model."""
        self.look(self.shown, epoch + 1)


class EarlyStopping(keras.callbacks.Callback):
    """Ends a training whose monitored loss no longer improves.

    Parameters
    ----------
    monitor
        Name of the loss in Keras.
    patience
        Its state; part of the checkpoint.
    """

    def __init__(self, monitor: str, patience: Patience) -> None:
        super().__init__()
        self.monitor = monitor
        self.patience = patience

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """End the training if the patience is exhausted."""
        if self.patience.after(float(logs[self.monitor])):
            self.model.stop_training = True

    def state(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return self.patience.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.patience.restore(state)


class Interrupts(keras.callbacks.Callback):
    """Ends the training after the step in which Ctrl-C or SIGTERM arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.signals = interrupts.Interrupts()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Stop if a signal has arrived."""
        if self.signals.arrived:
            raise KeyboardInterrupt
