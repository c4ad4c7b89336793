"""Training callbacks: the history of losses and the averaging of weights."""

import logging
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import WeightAveraging
from ptycho_core.averaging import averaging_share
from ptycho_core.losses_table import LossesTable, check_losses
from torch import Tensor

log = logging.getLogger(__name__)


class LossHistory(pl.Callback):
    """Keeps the losses of every epoch and reports them through `logging`.

    The history is saved in the checkpoint, so a resumed training has all of it.

    Parameters
    ----------
    table
        File that the losses are also written to.

    Attributes
    ----------
    epochs : list of dict
        One dictionary of named values per finished epoch.
    """

    KEY = "LossHistory"

    def __init__(self, table: LossesTable | None = None) -> None:
        self.table = table
        self.epochs: list[dict[str, float]] = []

    @property
    def state_key(self) -> str:
        """Name under which a checkpoint keeps the history."""
        return self.KEY

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch that has just ended, after its validation.

        Raises
        ------
        DivergenceError
            If a loss is not finite.
        """
        values = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith(("train_", "val_"))
        }
        number = trainer.current_epoch + 1
        check_losses(number, values)
        values["learning_rate"] = float(pl_module.optimizers().param_groups[0]["lr"])
        self.epochs.append(values)
        if not trainer.is_global_zero:
            return
        if self.table is not None:
            self.table.write(trainer.current_epoch, values)
        losses = ", ".join(f"{k} {v:.5g}" for k, v in values.items() if k.endswith("_loss"))
        log.info("epoch %d/%d: %s", number, trainer.max_epochs, losses)

    def columns(self) -> dict[str, list[float]]:
        """Return name -> one value per epoch; an epoch without the value has NaN."""
        names = sorted({name for epoch in self.epochs for name in epoch})
        return {name: [epoch.get(name, float("nan")) for epoch in self.epochs] for name in names}

    def state_dict(self) -> dict[str, Any]:
        """Return the state to be saved in a checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the history from a checkpoint."""
        self.epochs = list(state_dict["epochs"])


class MeanOfWeights(WeightAveraging):
    """Keeps the mean of the weights after every step so far: see `ptycho_core.averaging`.

    Steps use the weights; validation and checkpoints use their mean.
    """

    def __init__(self) -> None:
        super().__init__(use_buffers=False, avg_fn=_moved)


def _moved(mean: Tensor, weights: Tensor, before: Tensor | int) -> Tensor:
    """Return the mean after one more step; it covers ``before`` steps so far."""
    return mean + (weights - mean) * averaging_share(before + 1)
