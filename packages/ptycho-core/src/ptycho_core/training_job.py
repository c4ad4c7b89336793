"""What a backend is asked to train, and what it gives back."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_data import Bundle, Scan

from ptycho_core.checkpoints import CheckpointFiles
from ptycho_core.live_page import Publisher
from ptycho_core.resuming import Changes
from ptycho_core.stopping import StopReason
from ptycho_core.tracking.base import Tracker
from ptycho_core.training_data import TrainingData

__all__ = ["Fitted", "TrainableModel", "TrainingJob"]


class TrainableModel(Protocol):
    """What is asked of a backend's model after training."""

    def probe_changes(self) -> Sequence[Any]:
        """Return the trainable parameters of the probes."""

    def position_shifts(self) -> Sequence[Any]:
        """Return the trainable parameters of the positions."""

    def refined(self, number: int) -> tuple[NDArray[np.complex64], NDArray[np.float32] | None]:
        """Return probe (M, N, N) and position offsets (n, 2) of a scan; None if they are fixed."""


@frozen(eq=False, kw_only=True)
class TrainingJob:
    """What a backend needs to train.

    Attributes
    ----------
    scans : sequence of Scan
        Scans to train on, with their photons.
    data : TrainingData
        Groups of all scans, and the optics of each.
    config : TrainingConfig
        What to compute.
    execution : PyTorchExecutionConfig
        How to run it.
    output : Path
        Folder for checkpoints and logs.
    checkpoints : CheckpointFiles
        Its checkpoints, in that folder.
    resume : bool
        Whether to resume from them.
    start : Bundle or None
        Trained model whose weights are the first ones, instead of random ones.
    tracker : Tracker
        Where the values of each epoch are written; the other processes, if there are several, have
        one that writes nothing.
    page : Publisher
        Live page that the training is shown on.
    look : callable or None
        To be called after each epoch with the model and the number of the epoch, counted from one:
        it may reconstruct with the model. The backend keeps its random numbers from that. None if
        nobody wants to see it.
    """

    scans: Sequence[Scan]
    data: TrainingData
    config: TrainingConfig
    execution: PyTorchExecutionConfig
    output: Path
    checkpoints: CheckpointFiles
    resume: bool
    start: Bundle | None = None
    tracker: Tracker
    page: Publisher = field(factory=Publisher)
    look: Callable[[Any, int], None] | None = None


@frozen(eq=False, kw_only=True)
class Fitted:
    """A training that has ended.

    Attributes
    ----------
    model : TrainableModel
        With the weights to be kept: those of the best epoch, or the averaged ones.
    history : dict of str to list of float
        Losses by name, one value per epoch.
    epochs, epochs_before : int
        Finished epochs, and those of them that a resumed run found done.
    seconds : float
        Wall time of the training.
    stopped : {"epochs", "plateau", "interrupted"}
        Why it ended.
    changes : list of dict
        Settings that were changed on resuming, see `ptycho_core.resuming.resumed_changes`.
    main_process : bool
        Whether this process writes, if there are several.
    """

    model: Any
    history: dict[str, list[float]]
    epochs: int
    epochs_before: int
    seconds: float
    stopped: StopReason
    changes: Changes
    main_process: bool = True
