"""The values of every epoch as a CSV file."""

import csv
from pathlib import Path

from ptycho_data import atomic_path

from ptycho_core.tracking.base import LOG_FOLDER, SECONDS, Epochs, Tracker

__all__ = ["LossesTable"]

#: First columns; the terms of the losses follow by name.
COLUMNS = ("epoch", "train_loss", "val_loss", "learning_rate", SECONDS)


class LossesTable(Tracker):
    """Writes a CSV file with one line per epoch; it is whole after every epoch.

    A resumed training writes the epochs before it, too.

    Parameters
    ----------
    output
        Output folder of the training; an earlier file is replaced by the first epoch.
    """

    def __init__(self, output: Path) -> None:
        self.path = output / LOG_FOLDER / "metrics.csv"

    def epoch(self, epochs: Epochs) -> None:
        """Write all of these epochs, numbered from 1."""
        terms = sorted({name for epoch in epochs for name in epoch} - set(COLUMNS))
        with (
            atomic_path(self.path, overwrite=True) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, [*COLUMNS, *terms])
            writer.writeheader()
            writer.writerows({"epoch": k, **epoch} for k, epoch in enumerate(epochs, start=1))
