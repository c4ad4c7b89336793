"""Learning rates and their schedules as plain functions, for the optimiser of any framework."""

import math
from typing import Any

from attrs import define
from ptycho_config import Scheduler
from ptycho_config.errors import InvalidValueError

__all__ = [
    "POSITION_RATE",
    "PROBE_RATE",
    "WEIGHT_DECAY",
    "Plateau",
    "chosen_scheduler",
    "is_per_step",
    "rate_factor",
    "watches_loss",
]

WEIGHT_DECAY = 1e-4
"""Weight decay of the weights of a network; nothing else decays."""

PROBE_RATE = 2
"""Learning rate of a trainable probe relative to the network's. It improves a good probe; a poor
one should first be refined with the solver, whose steps are preconditioned."""

POSITION_RATE = 60
"""Learning rate of positions, in pixels, relative to the network's: at first tenths of a pixel per
visit of a pattern. Errors of 1.1 pixels rms become 0.6 in 20 epochs of 48 patterns."""

WARMUP_FRACTION = 0.2
STAGES = (0.5, 0.75, 0.9)
"""Fractions of the training after which the multi-stage schedule lowers the rate."""

STAGE_FACTOR = 0.3
EXPONENTIAL_END = 0.01
"""Factor that the exponential schedule reaches over the whole training."""


def chosen_scheduler(name: str, recommended: str) -> Scheduler:
    """Return the schedule of a setting; ``Default`` is the one that the network recommends."""
    asked = Scheduler(name)
    return Scheduler(recommended) if asked is Scheduler.DEFAULT else asked


def is_per_step(name: Scheduler) -> bool:
    """Whether the rate changes with every step, not only with every epoch."""
    return name is Scheduler.WARMUP_COSINE


def watches_loss(name: Scheduler) -> bool:
    """Whether the rate depends on a loss: see `Plateau`."""
    return name in (Scheduler.ADAPTIVE, Scheduler.REDUCE_LR_ON_PLATEAU)


def rate_factor(name: Scheduler, when: int, length: int) -> float:
    """Return the factor on the learning rate at a point of the training.

    Parameters
    ----------
    name
        A schedule that does not watch a loss.
    when, length
        Steps done and steps in all, for a schedule that changes with every step; else epochs.

    Raises
    ------
    InvalidValueError
        If there is no factor for ``name``.
    """
    match name:
        case Scheduler.WARMUP_COSINE:
            return warmup_cosine(when, length)
        case Scheduler.EXPONENTIAL:
            return float(EXPONENTIAL_END ** (when / max(1, length)))
        case Scheduler.MULTI_STAGE:
            stages = {round(length * part) for part in STAGES}
            return float(STAGE_FACTOR ** sum(when >= stage for stage in stages))
    raise InvalidValueError("scheduler", "a schedule of its own", str(name))


def warmup_cosine(step: int, steps: int) -> float:
    """Return a factor that rises along a cosine, then falls along one to a thousandth."""
    warmup = max(1, round(WARMUP_FRACTION * steps))
    if step < warmup:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * step / warmup))
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * progress))


@define
class Plateau:
    """A learning rate that is halved when the watched loss reaches a plateau.

    Attributes
    ----------
    rate
        The learning rate.
    best
        Lowest loss so far.
    waited
        Number of epochs since then.
    """

    FACTOR = 0.5
    PATIENCE = 3
    LOWEST = 1e-6
    NOTICEABLE = 1e-4
    """Relative improvement that resets the patience."""

    rate: float
    best: float = math.inf
    waited: int = 0

    def after(self, loss: float) -> float:
        """Update with the loss of an epoch; return the rate of the next one."""
        if loss < self.best * (1 - self.NOTICEABLE):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.waited > self.PATIENCE:
            self.rate = max(self.rate * self.FACTOR, self.LOWEST)
            self.waited = 0
        return self.rate

    def state(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return {"rate": self.rate, "best": self.best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.rate, self.best, self.waited = state["rate"], state["best"], state["waited"]
