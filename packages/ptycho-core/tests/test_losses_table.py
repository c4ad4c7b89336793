"""The losses of a training as a table."""

import csv

import pytest
from ptycho_core.losses_table import LossesTable, check_losses
from ptycho_physics import DivergenceError


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_is_whole_after_every_epoch(tmp_path):
    path = tmp_path / "logs" / "metrics.csv"
    table = LossesTable(path)
    table.write(3, {"train_loss": 0.5})
    assert rows(path) == [{"epoch": "3", "train_loss": "0.5"}]
    table.write(4, {"train_loss": 0.25, "val_loss": 0.75})
    assert [row["val_loss"] for row in rows(path)] == ["", "0.75"]
    assert [entry.name for entry in path.parent.iterdir()] == ["metrics.csv"]
    LossesTable(path).write(0, {"train_loss": 1.0})
    assert len(rows(path)) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["train_loss", "val_loss"])
def test_a_loss_that_is_not_finite_is_divergence(name, value):
    check_losses(1, {"train_loss": 0.5, "val_loss": 0.5})
    with pytest.raises(DivergenceError, match=f"epoch 2: lower learning_rate, found {name}"):
        check_losses(2, {"train_loss": 0.5, name: value})
