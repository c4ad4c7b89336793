"""The losses of a training: checked after each epoch, and as a table in a file."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from ptycho_data import atomic_path
from ptycho_physics import DivergenceError

__all__ = ["LossesTable", "check_losses"]


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


class LossesTable:
    """Writes a CSV file with one line per epoch; it is whole after every epoch.

    Parameters
    ----------
    path
        The file; an earlier one is replaced by the first epoch.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def write(self, epoch: int, values: Mapping[str, float]) -> None:
        """Add the named values of an epoch."""
        self.rows.append({"epoch": epoch, **values})
        names = sorted({name for row in self.rows for name in row} - {"epoch"})
        with (
            atomic_path(self.path, overwrite=True) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, ["epoch", *names])
            writer.writeheader()
            writer.writerows(self.rows)
