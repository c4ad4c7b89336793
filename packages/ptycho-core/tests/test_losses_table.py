"""The values of every epoch as a table."""

import csv

from ptycho_core.tracking.losses_table import LossesTable


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_is_whole_after_every_epoch(tmp_path):
    path = tmp_path / "logs" / "metrics.csv"
    epochs = [{"train_nll": 0.5, "train_loss": 0.5, "learning_rate": 1e-3, "seconds": 2.0}]
    table = LossesTable(tmp_path)
    table.epoch(epochs)
    (row,) = rows(path)
    assert list(row) == [
        *("epoch", "train_loss", "val_loss", "learning_rate", "seconds"),
        "train_nll",
    ]
    assert (row["epoch"], row["train_loss"], row["val_loss"]) == ("1", "0.5", "")
    table.epoch([*epochs, {"train_loss": 0.25, "val_loss": 0.75}])
    assert [row["epoch"] for row in rows(path)] == ["1", "2"]
    assert [row["val_loss"] for row in rows(path)] == ["", "0.75"]
    assert [entry.name for entry in path.parent.iterdir()] == ["metrics.csv"]
    LossesTable(tmp_path).epoch(epochs)
    assert len(rows(path)) == 1
