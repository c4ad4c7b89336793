"""Training callbacks: partition of the epoch, history, logs, early stopping, interrupts."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ptycho_core.losses_table import check_losses

from ptycho_tf.data import BatchSource
from ptycho_tf.frameworks import keras
from ptycho_tf.loggers import Logger

log = logging.getLogger(__name__)


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
    """Keeps the losses of every epoch and reports them through `logging` and a logger.

    The history is saved in the checkpoint, so a resumed training has all of it.

    Parameters
    ----------
    epochs
        Total number of epochs.
    logger
        Logger that the losses are also written to.

    Attributes
    ----------
    epochs : list of dict
        One dictionary of named values per finished epoch.
    """

    def __init__(self, total: int, logger: Logger) -> None:
        super().__init__()
        self.total = total
        self.logger = logger
        self.epochs: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record the epoch that has just ended, after its validation.

        Raises
        ------
        DivergenceError
            If a loss is not finite.
        """
        values = {k if k.startswith("val_") else f"train_{k}": float(v) for k, v in logs.items()}
        check_losses(epoch + 1, values)
        values["learning_rate"] = float(self.model.optimizer.learning_rate.numpy())
        self.epochs.append(values)
        self.logger.write(epoch, values)
        losses = ", ".join(f"{k} {v:.5g}" for k, v in values.items() if k.endswith("_loss"))
        log.info("epoch %d/%d: %s", epoch + 1, self.total, losses)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Close the logger."""
        self.logger.close()

    def columns(self) -> dict[str, list[float]]:
        """Return name -> one value per epoch; an epoch without the value has NaN."""
        names = sorted({name for epoch in self.epochs for name in epoch})
        return {name: [epoch.get(name, float("nan")) for epoch in self.epochs] for name in names}

    def state(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return {"epochs": self.epochs}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.epochs = list(state["epochs"])


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's early stopping, whose patience is continued by a resumed training."""

    def state(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return {"waited": self.wait, "best": None if self.best is None else float(self.best)}

    def restore(self, state: dict[str, Any]) -> None:
        """Keep the state of a checkpoint until training begins, when Keras resets its own."""
        self._kept = state

    def on_train_begin(self, logs: Any = None) -> None:
        """Start from the state of the checkpoint."""
        super().on_train_begin(logs)
        kept = getattr(self, "_kept", None)
        if kept is not None:
            self.wait, self.best = kept["waited"], kept["best"]


class Interrupts(keras.callbacks.Callback):
    """Ends the training after the step in which Ctrl-C or SIGTERM arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = False

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        if self.arrived:  # a second signal stops at once
            raise KeyboardInterrupt
        self.arrived = True

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Handle the signals; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Stop if a signal has arrived."""
        if self.arrived:
            raise KeyboardInterrupt
