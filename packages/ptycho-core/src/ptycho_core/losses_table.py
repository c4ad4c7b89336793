"""The losses of a training as a table in a file."""

import csv
from collections.abc import Mapping
from pathlib import Path

from ptycho_data import atomic_path

__all__ = ["LossesTable"]


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
