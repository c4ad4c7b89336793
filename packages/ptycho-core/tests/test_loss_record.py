"""The record of the epochs of a training."""

import pytest
from ptycho_core.loss_record import LossRecord, check_losses
from ptycho_core.tracking.base import Tracker
from ptycho_physics import DivergenceError


class Heard(Tracker):
    def __init__(self):
        self.lengths = []

    def epoch(self, epochs):
        self.lengths.append(len(epochs))


def test_epochs_are_kept_tracked_and_restored():
    record = LossRecord(Heard())
    for tell in (True, False):
        record.begin()
        record.end({"train_loss": 0.5}, 1e-3, tell=tell)
    assert record.tracker.lengths == [1]
    assert record.columns() == {"learning_rate": [1e-3, 1e-3], "train_loss": [0.5, 0.5]}
    assert all(epoch["seconds"] >= 0 for epoch in record.epochs)
    resumed = LossRecord(Heard())
    resumed.restore(record.state())
    resumed.end({"train_loss": 0.25, "val_loss": 0.75}, 1e-3, tell=True)
    assert resumed.tracker.lengths == [3]
    assert resumed.columns()["val_loss"] == pytest.approx([float("nan")] * 2 + [0.75], nan_ok=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["train_loss", "val_loss"])
def test_a_loss_that_is_not_finite_is_divergence(name, value):
    check_losses(1, {"train_loss": 0.5, "val_loss": 0.5})
    with pytest.raises(DivergenceError, match=f"epoch 2: lower learning_rate, found {name}"):
        check_losses(2, {"train_loss": 0.5, name: value})
