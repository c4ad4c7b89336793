"""Base class of trackers, which write what a training measures where people look at it."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ptycho_core.stopping import StopReason

__all__ = [
    "LOG_FOLDER",
    "SECONDS",
    "Epochs",
    "Settings",
    "SparingTracker",
    "Tracker",
    "without_password",
]

log = logging.getLogger(__name__)

#: Folder of the trackers' files, in the output folder.
LOG_FOLDER = "logs"
#: Name of an epoch's wall time among its values.
SECONDS = "seconds"

Epochs = Sequence[Mapping[str, float]]
"""Named values of every finished epoch, the first one first."""

Settings = Mapping[str, bool | int | float | str]
"""Settings of a training by name."""


class Tracker:
    """Base class, which writes nothing.

    Attributes
    ----------
    pictures : bool
        Whether it takes pictures.
    """

    pictures: bool = False

    def epoch(self, epochs: Epochs) -> None:
        """Write the last of these epochs; a resumed training has the earlier ones, too."""

    def results(self, files: Sequence[Path], pictures: Mapping[str, bytes]) -> None:
        """Take the files of the model, and pictures in PNG format by name."""

    def close(self, stopped: StopReason | None) -> None:
        """End; ``stopped`` is None after an error."""


class SparingTracker(Tracker):
    """Spares a training the failures of a tracker: the first one is a warning and its end."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name = name
        self.tracker: Tracker | None = tracker
        self.pictures = tracker.pictures

    def epoch(self, epochs: Epochs) -> None:
        """Write an epoch."""
        with self._sparing() as tracker:
            tracker.epoch(epochs)

    def results(self, files: Sequence[Path], pictures: Mapping[str, bytes]) -> None:
        """Take the files of the model."""
        with self._sparing() as tracker:
            tracker.results(files, pictures)

    def close(self, stopped: StopReason | None) -> None:
        """End."""
        with self._sparing() as tracker:
            tracker.close(stopped)

    @contextmanager
    def _sparing(self) -> Iterator[Tracker]:
        try:
            yield self.tracker or Tracker()
        except Exception as error:  # a tracker is no reason to lose hours of work
            self.tracker, self.pictures = None, False
            reason = without_password(" ".join(str(error).split())) or type(error).__name__
            message = "logger_backend %s failed, and the training continues without it: %s"
            log.warning(message, self.name, reason, exc_info=error)


def without_password(text: str) -> str:
    """Return a text without user and password in its addresses."""
    return re.sub(r"://[^/@\s]+@", "://", text)
