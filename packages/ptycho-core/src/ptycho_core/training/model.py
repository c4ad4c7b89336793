"""What a training returns: the trained network, and how it was trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_data import Bundle
from ptycho_data.display import Displayed
from ptycho_data.plots import plot_model

from ptycho_core.cautions import Caution
from ptycho_core.results import last_losses
from ptycho_core.starting_probe import ProbeRefinement
from ptycho_core.stopping import StopReason

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TrainedModel"]


@frozen(kw_only=True, eq=False, repr=False)
class TrainedModel(Displayed):
    """A trained network and how it was trained.

    Attributes
    ----------
    bundle : Bundle
        Weights, probe, scaling and settings; `ptycho_data.save_bundle` writes it.
    history : dict of str to list of float
        Losses by name, one value per epoch.
    path : Path or None
        The bundle's file; None if no output folder was given.
    config : TrainingConfig
        What was computed.
    execution : PyTorchExecutionConfig
        How, with the learning rate that was used.
    overrides_applied : dict
        Every setting that is not at its default: its value and where it came from.
    seconds : float
        Wall time of the training.
    epochs : int
        Number of finished epochs, including those before a resume.
    kept : str
        Which epoch's weights were kept, and its loss: ``epoch 9 of 10: val_loss 0.5``.
    stopped : {"epochs", "plateau"}
        Why the training ended: all epochs are done, or early stopping.
    written : bool
        Whether the bundle is new; not if a resumed training was already complete.
    main_process : bool
        Whether this process reports and writes, if there are several.
    cautions : list of Caution
        Doubts about the scans and their probes.
    probes : list of ProbeRefinement
        Refined probe of each scan, if they were refined before the training.
    """

    bundle: Bundle
    history: dict[str, list[float]]
    path: Path | None
    config: TrainingConfig
    execution: PyTorchExecutionConfig
    overrides_applied: dict[str, dict[str, Any]]
    seconds: float
    epochs: int
    kept: str
    stopped: StopReason = "epochs"
    written: bool = True
    main_process: bool = True
    cautions: list[Caution] = field(factory=list)
    probes: list[ProbeRefinement] = field(factory=list)

    def _facts(self) -> dict[str, str]:
        return {
            "network": self.config.model.architecture,
            "epochs": f"{self.epochs}",
            "last losses": last_losses(self.history),
            "weights kept": self.kept,
            "time": f"{self.seconds:.0f} s",
            "file": "" if self.path is None else str(self.path),
        }

    def plot(self) -> "Figure":
        """Draw the probe and the losses of each epoch.

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        return plot_model(self.bundle.probe, self.history)
