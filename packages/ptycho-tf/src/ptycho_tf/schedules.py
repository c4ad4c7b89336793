"""Learning-rate schedules as a Keras callback."""

from typing import Any

from ptycho_config import Scheduler
from ptycho_core.schedules import Plateau, is_per_step, rate_factor, watches_loss

from ptycho_tf.frameworks import keras


class Schedule(keras.callbacks.Callback):
    """Sets the learning rate before each step.

    Parameters
    ----------
    name
        Name of the schedule; not ``Default``, which the caller resolves to the network's.
    rate
        Learning rate to start from.
    steps_per_epoch, epochs
        Length of the training; ``steps_per_epoch`` counts updates of the weights.
    monitor
        Loss that ``ReduceLROnPlateau`` watches; ``Adaptive`` watches the training loss.

    Raises
    ------
    InvalidValueError
        For ``Default``.
    """

    def __init__(
        self, name: Scheduler, rate: float, *, steps_per_epoch: int, epochs: int, monitor: str
    ) -> None:
        super().__init__()
        self.name = name
        self.start = rate
        self.length = epochs * (steps_per_epoch if is_per_step(name) else 1)
        self.monitor = "loss" if name is Scheduler.ADAPTIVE else monitor
        self.plateau = Plateau(rate) if watches_loss(name) else None
        self.rate(0, 0)

    def rate(self, epoch: int, step: int) -> float:
        """Return the learning rate in an epoch at a step, counted from the first epoch."""
        if self.plateau is not None:
            return self.plateau.rate
        when = step if is_per_step(self.name) else epoch
        return self.start * rate_factor(self.name, when, self.length)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Set the rate of an epoch's first step."""
        self.epoch = epoch
        self._set()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Set the rate of the next step."""
        if is_per_step(self.name):
            self._set()

    def _set(self) -> None:
        step = int(self.model.optimizer.iterations.numpy())
        self.model.optimizer.learning_rate = self.rate(self.epoch, step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
        """Lower the rate if the watched loss has reached a plateau."""
        if self.plateau is not None:
            self.plateau.after(float(logs[self.monitor]))

    def state(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return {} if self.plateau is None else {"start": self.start, **self.plateau.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint; its rate is scaled if ``start`` has changed since."""
        if self.plateau is not None:
            self.plateau.restore(state)
            self.plateau.rate *= self.start / state.get("start", self.start)
