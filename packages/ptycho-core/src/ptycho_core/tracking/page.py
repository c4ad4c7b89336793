"""The losses of a training on its live page, besides any other tracker."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import define

from ptycho_core.live_page import Publisher
from ptycho_core.stopping import StopReason
from ptycho_core.tracking.base import SECONDS, Epochs, Tracker

__all__ = ["WithPage"]

#: Values of an epoch that are drawn; the terms of the losses are left to other trackers.
DRAWN = ("train_loss", "val_loss")


@define(eq=False)
class WithPage(Tracker):
    """Passes everything on to another tracker, and publishes the epochs.

    Attributes
    ----------
    tracker : Tracker
        The other one.
    page : Publisher
    patterns, epochs : int
        Patterns that the network sees in an epoch; epochs of the training.
    """

    tracker: Tracker
    page: Publisher
    patterns: int
    epochs: int
    _published: int = 0

    @property
    def pictures(self) -> bool:  # type: ignore[override]
        """Whether the other one takes pictures."""
        return self.tracker.pictures

    def epoch(self, epochs: Epochs) -> None:
        """Publish the new epochs; for a resumed training, also those before it."""
        self.tracker.epoch(epochs)
        for number, values in enumerate(epochs[self._published :], self._published + 1):
            losses = {name: values[name] for name in DRAWN if name in values}
            self.page.point("epoch", number, **losses)
        self._published, last = len(epochs), epochs[-1]
        self.page.progress(len(epochs), self.epochs, "epochs")
        self.page.now(learning_rate=last["learning_rate"])
        if last.get(SECONDS):
            self.page.now(rate=self.patterns / last[SECONDS], epoch_time=last[SECONDS])

    def results(self, files: Sequence[Path], pictures: Mapping[str, bytes]) -> None:
        """Pass them on."""
        self.tracker.results(files, pictures)

    def close(self, stopped: StopReason | None) -> None:
        """Pass it on."""
        self.tracker.close(stopped)
