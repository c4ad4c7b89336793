"""Progress of a training: one bar over all epochs, and a line with the losses of each."""

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack

from ptycho_core.live_page import Publisher
from ptycho_core.progress.bar import Bar
from ptycho_core.progress.displays import Draw, displayed

__all__ = ["TrainingProgress"]

log = logging.getLogger(__name__)


class TrainingProgress:
    """Shows a training while it runs. Epochs are counted from one.

    Parameters
    ----------
    shown
        Whether there is a bar; the losses are logged in any case.
    page
        Live page that shows how far it is.
    """

    def __init__(self, *, shown: bool, page: Publisher | None = None) -> None:
        self.shown = shown
        self.page = page or Publisher()
        self._bar = Bar("", 0)
        self._epochs = self._steps = 0
        self._losses: list[str] = []
        self._draw: Draw = lambda: None
        self._stack = ExitStack()

    def begin(self, epochs: int, before: int, steps: int) -> None:
        """Begin with this number of epochs, of which some are done, and of steps in each."""
        self._epochs, self._steps = epochs, steps
        # not moved yet: the first step, which may compile, is no part of the time to go
        self._bar = Bar(f"epoch {before + 1}/{epochs}", epochs * steps, done=before * steps)
        if self.shown and before < epochs:
            self._draw = self._stack.enter_context(displayed(self._bar))

    def step(self, epoch: int, step: int) -> None:
        """Note that a step of an epoch is done."""
        self._move(epoch, step)
        self._draw()

    def end_epoch(self, values: Mapping[str, float]) -> None:
        """Log the losses of the epoch of the last step.

        Parameters
        ----------
        values
            ``train_loss``, ``val_loss``, ``learning_rate`` and other values by name.
        """
        short = {"val_loss": "val", "train_loss": "train", "learning_rate": "rate"}
        self._losses = [f"{short[k]} {values[k]:.5g}" for k in short if k in values]
        names = sorted(name for name in values if name.endswith("_loss"))  # train_loss first
        losses = ", ".join(f"{name} {values[name]:.5g}" for name in names)
        log.info("%s: %s", self._bar.label, losses)
        self._bar.facts, self._bar.told = self._losses, time.monotonic()

    def close(self) -> None:
        """Remove the bar."""
        self._stack.close()

    def _move(self, epoch: int, step: int) -> None:
        self._bar.label = f"epoch {epoch}/{self._epochs}"
        done = (epoch - 1) * self._steps + step
        self._bar.move(done, [*self._losses, f"step {step}/{self._steps}"])
        self.page.progress(round(done / self._steps, 2), self._epochs, "epochs")
