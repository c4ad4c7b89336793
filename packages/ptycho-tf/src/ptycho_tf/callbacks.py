"""What happens around epochs: batches of their own, history, logs, early stopping, interrupts."""

import logging
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ptycho_physics import DivergenceError

from ptycho_tf.data import BatchSource
from ptycho_tf.frameworks import keras
from ptycho_tf.loggers import Logger

log = logging.getLogger(__name__)


class EpochStart(keras.callbacks.Callback):
    """Lets the source of batches and the loss know the epoch."""

    def __init__(self, source: BatchSource) -> None:
        super().__init__()
        self.source = source

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Choose the partition of the epoch, and how gentle its likelihood is."""
        self.source.epoch = epoch
        self.model.begin_epoch(epoch)


class MeanOfWeights(keras.callbacks.Callback):
    """Lets validation look at the mean of the weights, where the optimiser keeps it.

    Steps go by the weights.
    """

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Put the mean in their place."""
        self.model.exchange_with_means()

    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Put the weights back."""
        self.model.exchange_with_means()


class LossHistory(keras.callbacks.Callback):
    """Keeps the losses of every epoch and reports them through `logging` and a logger.

    The history travels with the checkpoint, so a resumed training has the whole of it.

    Parameters
    ----------
    epochs
        Epochs in all.
    logger
        Where the losses are written besides.

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
            If its loss is not finite.
        """
        values = {k if k.startswith("val_") else f"train_{k}": float(v) for k, v in logs.items()}
        loss = values["train_loss"]
        if not math.isfinite(loss):
            msg = f"training diverged in epoch {epoch + 1}: lower learning_rate, found {loss}"
            raise DivergenceError(msg)
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
        """Return what a checkpoint keeps."""
        return {"epochs": self.epochs}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        self.epochs = list(state["epochs"])


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's own, whose patience goes on in a resumed training."""

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"waited": self.wait, "best": None if self.best is None else float(self.best)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint kept; Keras forgets when training begins."""
        self._kept = state

    def on_train_begin(self, logs: Any = None) -> None:
        """Start from what was kept."""
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
        if self.arrived:  # twice: whoever asks means now
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
        """Stop here if it is time to."""
        if self.arrived:
            raise KeyboardInterrupt
