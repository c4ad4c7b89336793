"""The losses of a training, epoch by epoch: checked, kept and tracked."""

import math
import time
from collections.abc import Mapping
from typing import Any

from attrs import define, field
from ptycho_physics import DivergenceError

from ptycho_core.tracking.base import SECONDS, Tracker

__all__ = ["LossRecord", "check_losses"]


def check_losses(epoch: int, values: Mapping[str, float]) -> None:
    """Refuse an epoch, counted from 1, of which a loss is not finite.

    Raises
    ------
    DivergenceError
        Naming the epoch.
    """
    for name in ("train_loss", "val_loss"):
        value = values.get(name, 0.0)
        if not math.isfinite(value):
            msg = f"training diverged in epoch {epoch}: lower learning_rate, found {name} {value}"
            raise DivergenceError(msg)


@define(eq=False)
class LossRecord:
    """Keeps the values of every epoch; part of checkpoints, so a resumed training has all of them.

    Attributes
    ----------
    tracker : Tracker
        Where they are also written to.
    epochs : list of dict
        One dictionary of named values per finished epoch: losses, ``learning_rate``, ``seconds``.
    """

    tracker: Tracker = field(factory=Tracker)
    epochs: list[dict[str, float]] = field(factory=list)
    _start: float = field(factory=time.perf_counter)

    def begin(self) -> None:
        """Begin an epoch."""
        self._start = time.perf_counter()

    def end(self, losses: Mapping[str, float], rate: float, *, tell: bool) -> None:
        """Record an epoch that has just ended, after its validation.

        Parameters
        ----------
        losses
            Its losses and their terms, ``train_loss`` among them.
        rate
            Learning rate at its end.
        tell
            Whether this process reports, if there are several.

        Raises
        ------
        DivergenceError
            If a loss is not finite.
        """
        check_losses(len(self.epochs) + 1, losses)
        seconds = time.perf_counter() - self._start
        self.epochs.append({**losses, "learning_rate": rate, SECONDS: seconds})
        if tell:
            self.tracker.epoch(self.epochs)

    def columns(self) -> dict[str, list[float]]:
        """Return name -> one value per epoch; an epoch without the value has NaN.

        The seconds are left out: they differ between trainings that are equal otherwise.
        """
        names = sorted({name for epoch in self.epochs for name in epoch} - {SECONDS})
        return {name: [epoch.get(name, float("nan")) for epoch in self.epochs] for name in names}

    def state(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return {"epochs": self.epochs}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.epochs = list(state["epochs"])
