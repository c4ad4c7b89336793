"""Learning-rate schedules in the form Lightning expects."""

from functools import partial
from typing import Any

from ptycho_config import Scheduler
from ptycho_core.schedules import Plateau, is_per_step, rate_factor, watches_loss
from torch.optim import Optimizer, lr_scheduler


def lightning_schedule(
    name: Scheduler, optimizer: Optimizer, *, steps: int, epochs: int, monitor: str
) -> dict[str, Any]:
    """Return the scheduler ``name`` in the form Lightning expects.

    Parameters
    ----------
    name
        Name of the schedule; not ``Default``, which the caller resolves to the network's.
    optimizer
        Optimiser whose learning rate changes.
    steps, epochs
        Length of the training.
    monitor
        Logged loss that ``ReduceLROnPlateau`` watches; ``Adaptive`` watches the training loss.

    Raises
    ------
    InvalidValueError
        For ``Default``.
    """
    if watches_loss(name):
        watched = "train_loss" if name is Scheduler.ADAPTIVE else monitor
        plateau = lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=Plateau.FACTOR,
            patience=Plateau.PATIENCE,
            threshold=Plateau.NOTICEABLE,
            min_lr=Plateau.LOWEST,
        )
        return {"scheduler": plateau, "monitor": watched}
    length = steps if is_per_step(name) else epochs
    factor = partial(rate_factor, name, length=length)
    return {
        "scheduler": lr_scheduler.LambdaLR(optimizer, factor),
        "interval": "step" if is_per_step(name) else "epoch",
    }
