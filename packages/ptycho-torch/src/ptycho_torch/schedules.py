"""Learning-rate schedules by the names of the configuration."""

import math
from typing import Any

from ptycho_config import Scheduler
from torch.optim import Optimizer, lr_scheduler

WARMUP_FRACTION = 0.2
PLATEAU = {"factor": 0.5, "patience": 3, "min_lr": 1e-6}


def _warmup_cosine(step: int, steps: int) -> float:
    """Factor on the learning rate: a cosine up, then a cosine down to a thousandth."""
    warmup = max(1, round(WARMUP_FRACTION * steps))
    if step < warmup:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * step / warmup))
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * progress))


def lightning_schedule(
    name: Scheduler, optimizer: Optimizer, *, steps: int, epochs: int, monitor: str
) -> dict[str, Any]:
    """Return the scheduler ``name`` in the form Lightning takes.

    Parameters
    ----------
    name
        Not ``Default``, which the caller resolves to what the network recommends.
    optimizer
        Whose learning rate changes.
    steps, epochs
        Length of the training.
    monitor
        Logged loss that ``ReduceLROnPlateau`` watches; ``Adaptive`` watches the training loss.

    Raises
    ------
    ValueError
        For ``Default``.
    """
    match name:
        case Scheduler.WARMUP_COSINE:
            scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: _warmup_cosine(step, steps))
            return {"scheduler": scheduler, "interval": "step"}
        case Scheduler.EXPONENTIAL:  # to a hundredth over the whole training
            gamma = 0.01 ** (1 / max(1, epochs))
            return {"scheduler": lr_scheduler.ExponentialLR(optimizer, gamma)}
        case Scheduler.MULTI_STAGE:
            stages = sorted({round(epochs * part) for part in (0.5, 0.75, 0.9)})
            return {"scheduler": lr_scheduler.MultiStepLR(optimizer, stages, gamma=0.3)}
        case Scheduler.REDUCE_LR_ON_PLATEAU | Scheduler.ADAPTIVE:
            watched = monitor if name is Scheduler.REDUCE_LR_ON_PLATEAU else "train_loss"
            scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **PLATEAU)
            return {"scheduler": scheduler, "monitor": watched}
    msg = f"scheduler: a schedule expected, found {name}"
    raise ValueError(msg)
