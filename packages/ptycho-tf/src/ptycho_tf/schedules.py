"""Learning-rate schedules by the names of the configuration."""

import math
from typing import Any

from ptycho_config import Scheduler

from ptycho_tf.frameworks import keras

WARMUP_FRACTION = 0.2
PLATEAU = {"factor": 0.5, "patience": 3, "min_lr": 1e-6}
NOTICEABLE = 1e-4
"""Relative improvement of the watched loss that resets the patience of a plateau schedule."""


def warmup_cosine(step: int, steps: int) -> float:
    """Factor on the learning rate: a cosine up, then a cosine down to a thousandth."""
    warmup = max(1, round(WARMUP_FRACTION * steps))
    if step < warmup:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * step / warmup))
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * progress))


class Schedule(keras.callbacks.Callback):
    """Sets the learning rate before each step.

    Parameters
    ----------
    name
        Not ``Default``, which the caller resolves to what the network recommends.
    rate
        Learning rate to start from.
    steps_per_epoch, epochs
        Length of the training; ``steps_per_epoch`` changes of the weights make an epoch.
    monitor
        Loss that ``ReduceLROnPlateau`` watches; ``Adaptive`` watches the training loss.

    Raises
    ------
    ValueError
        For ``Default``.
    """

    def __init__(
        self, name: Scheduler, rate: float, *, steps_per_epoch: int, epochs: int, monitor: str
    ) -> None:
        super().__init__()
        if name is Scheduler.DEFAULT:
            msg = f"scheduler: a schedule expected, found {name}"
            raise ValueError(msg)
        self.name = name
        self.start = rate
        self.steps_per_epoch = steps_per_epoch
        self.epochs = epochs
        self.monitor = "loss" if name is Scheduler.ADAPTIVE else monitor
        self.plateau_rate = rate
        self.best = math.inf
        self.waited = 0

    @property
    def watches(self) -> bool:
        """Whether the rate depends on how a loss comes along."""
        return self.name in (Scheduler.ADAPTIVE, Scheduler.REDUCE_LR_ON_PLATEAU)

    def rate(self, epoch: int, step: int) -> float:
        """Return the learning rate in an epoch at a step, counted from the first epoch."""
        if self.watches:
            return self.plateau_rate
        match self.name:
            case Scheduler.WARMUP_COSINE:
                return self.start * warmup_cosine(step, self.steps_per_epoch * self.epochs)
            case Scheduler.EXPONENTIAL:  # to a hundredth over the whole training
                return self.start * 0.01 ** (epoch / max(1, self.epochs))
        stages = {round(self.epochs * part) for part in (0.5, 0.75, 0.9)}
        return self.start * 0.3 ** sum(epoch >= stage for stage in stages)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Set the rate of an epoch's first step."""
        self.epoch = epoch
        self._set()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Set the rate of the next step."""
        if self.name is Scheduler.WARMUP_COSINE:
            self._set()

    def _set(self) -> None:
        step = int(self.model.optimizer.iterations.numpy())
        self.model.optimizer.learning_rate = self.rate(self.epoch, step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Lower the rate if the watched loss has not fallen for long."""
        if not self.watches:
            return
        loss = float(logs[self.monitor])
        if loss < self.best * (1 - NOTICEABLE):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.waited > PLATEAU["patience"]:
            self.plateau_rate = max(self.plateau_rate * PLATEAU["factor"], PLATEAU["min_lr"])
            self.waited = 0

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"rate": self.plateau_rate, "best": self.best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        self.plateau_rate, self.best = state["rate"], state["best"]
        self.waited = state["waited"]
