"""Early stopping: the end of a training whose monitored loss no longer improves."""

from typing import Any, Literal

from attrs import define

__all__ = ["Patience", "StopReason"]

StopReason = Literal["epochs", "plateau", "interrupted"]
"""Why a training ended: all epochs are done, the patience is exhausted, or a signal arrived."""


@define
class Patience:
    """Counts the epochs since the best one.

    Attributes
    ----------
    limit
        Epochs without improvement after which the training ends.
    mode
        Whether the smallest or the largest loss is best.
    rate
        Learning rate of the training.
    best
        Best loss so far; None before the first epoch.
    waited
        Epochs since then.
    """

    limit: int
    mode: Literal["min", "max"]
    rate: float
    best: float | None = None
    waited: int = 0

    @property
    def exhausted(self) -> bool:
        """Whether the training should end."""
        return self.waited >= self.limit

    def after(self, loss: float) -> bool:
        """Update with the loss of an epoch; return whether the training should end."""
        if self.best is None or (loss < self.best if self.mode == "min" else loss > self.best):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        return self.exhausted

    def reason(self, done: int, epochs: int, *, interrupted: bool) -> StopReason:
        """Return why a training of ``epochs`` ended after ``done``."""
        if interrupted:
            return "interrupted"
        return "plateau" if self.exhausted and done < epochs else "epochs"

    def state(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint; the limit may differ when it is resumed."""
        return {"waited": self.waited, "best": self.best, "rate": self.rate}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint; with another learning rate the count begins anew."""
        self.best = state["best"]
        self.waited = state["waited"] if state.get("rate", self.rate) == self.rate else 0
