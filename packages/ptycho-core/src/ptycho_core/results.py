"""Results of a training and of a reconstruction, for all backends."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction
from ptycho_data.display import Displayed
from ptycho_data.plots import losses, plot_curves, plot_object

from ptycho_core.resuming import Changes
from ptycho_core.stopping import StopReason

if TYPE_CHECKING:  # the checks import SciPy, which a backend alone does not need
    from matplotlib.figure import Figure

    from ptycho_core.analysis.verdict import Verdict
    from ptycho_core.cautions import Caution

__all__ = [
    "InferenceInterrupted",
    "InferenceResult",
    "ReconstructionResult",
    "TrainingInterrupted",
    "TrainingResult",
    "last_losses",
    "result_facts",
]


@frozen(kw_only=True, repr=False)
class TrainingResult(Displayed):
    """The result of a training.

    Attributes
    ----------
    bundle_path : Path
        The bundle written.
    history : dict of str to list of float
        Losses by name, one value per epoch.
    seconds : float
        Wall time of the training.
    epochs : int
        Number of finished epochs, including those before a resume.
    stopped : {"epochs", "plateau", "interrupted"}
        Why it ended: all epochs are done, early stopping, or a signal.
    changes : list of dict
        Settings that were changed on resuming, see `ptycho_core.resuming.resumed_changes`.
    main_process : bool
        Whether this process reports and writes, if there are several.
    written : bool
        Whether a new bundle was written; not if a resumed training was already complete.
    """

    bundle_path: Path
    history: dict[str, list[float]]
    seconds: float
    epochs: int
    stopped: StopReason = "epochs"
    changes: Changes = field(factory=list)
    main_process: bool = True
    written: bool = True

    def _facts(self) -> dict[str, str]:
        return {
            "epochs": f"{self.epochs}",
            "last losses": last_losses(self.history),
            "time": f"{self.seconds:.0f} s",
            "file": str(self.bundle_path),
        }

    def plot(self) -> "Figure":
        """Draw the losses of each epoch.

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        return plot_curves(losses(self.history))


def last_losses(history: Mapping[str, Sequence[float]]) -> str:
    """Write the losses of the last epoch."""
    shown = losses(history).items()
    return ", ".join(f"{name} {values[-1]:.4g}" for name, values in shown if len(values))


class TrainingInterrupted(KeyboardInterrupt):
    """Training was interrupted; holds the result so far.

    Attributes
    ----------
    result : TrainingResult
    """

    def __init__(self, result: TrainingResult, *, resumable: bool = True) -> None:
        rest = "continue with --resume" if resumable else "it cannot be resumed without checkpoints"
        done = f"{result.epochs} epoch{'' if result.epochs == 1 else 's'}"
        super().__init__(f"interrupted after {done}: {rest}")
        self.result = result


def result_facts(
    rec: Reconstruction, r_factor: float, verdict: "Verdict | None", path: Path | None
) -> dict[str, str]:
    """Return what is said of a reconstruction, whichever method made it."""
    height, width = rec.object.shape
    ratio = None if verdict is None else verdict.ratio
    return {
        "object": f"{height} x {width} pixels",
        "R-factor": f"{r_factor:.4f}",
        "over photon noise": "" if ratio is None else f"{ratio:.2f}",
        "patterns": f"{len(rec.indices)}",
        "folder": "" if path is None else str(path),
    }


class ReconstructionResult(Displayed):
    """Base of results that hold a reconstruction, whichever method made it: their figure.

    Subclasses have `reconstruction` and `r_factor`.
    """

    __slots__ = ()

    reconstruction: Reconstruction

    @property
    def r_factor(self) -> float:
        """R-factor of the reconstruction."""
        raise NotImplementedError

    def _method(self) -> str:
        """Name what made it, for the caption."""
        raise NotImplementedError

    def _r_factors(self) -> Sequence[float]:
        """R-factor of each epoch of the solver, if it worked."""
        return ()

    def plot(self, *, unwrap: bool = False) -> "Figure":
        """Draw amplitude and phase where they were measured, and the R-factor of each epoch.

        The mean phase and a phase ramp are removed for the figure, which says so.

        Parameters
        ----------
        unwrap
            Draw the phase without jumps of 2 pi; the object stays as it is.

        Raises
        ------
        MissingPackageError
            matplotlib, or scikit-image to unwrap, is not installed.
        """
        from ptycho_core.analysis.verdict import picture_caption

        rec, verdict, curve = self.reconstruction, getattr(self, "verdict", None), self._r_factors()
        fit = {"r_factor": self.r_factor, **({} if verdict is None else verdict.metrics)}
        used = len(rec.indices)
        caption = picture_caption(rec.name, fit, used, self._method(), rec.pixel_size_m)
        curves = {"R-factor": curve} if len(curve) else None
        return plot_object(rec, curves, caption=caption, unwrap=unwrap)


@frozen(kw_only=True, eq=False, repr=False)
class InferenceResult(ReconstructionResult):
    """A reconstruction and how it was made.

    Attributes
    ----------
    reconstruction : Reconstruction
    r_factor : float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` of the stitched object.
    timings : dict of str to float
        Wall seconds of each stage: ``prepare``, ``read`` (waiting for patterns), ``reconstruct``
        and ``score``.
    patterns_per_second : float
        Number of patterns divided by the time of the pass from file to object, without start-up.
    backend : str
        Name of the backend that computed it.
    main_process : bool
        Whether this process reports and writes, if there are several.
    metrics : dict
        Figures of merit, as in ``metrics.json``.
    path : Path or None
        Folder of the results; None if nothing was written.
    verdict : Verdict or None
        Comparison with photon noise; None from a backend alone, which does not judge.
    cautions : list of Caution
        Doubts about the scan and about the result.
    """

    reconstruction: Reconstruction
    r_factor: float
    timings: dict[str, float] = field(factory=dict)
    patterns_per_second: float
    backend: str
    main_process: bool = True
    metrics: dict[str, Any] = field(factory=dict)
    path: Path | None = None
    verdict: "Verdict | None" = None
    cautions: "list[Caution]" = field(factory=list)

    def _facts(self) -> dict[str, str]:
        return result_facts(self.reconstruction, self.r_factor, self.verdict, self.path) | {
            "backend": self.backend,
            "speed": f"{self.patterns_per_second:.3g} patterns/s",
        }

    def _method(self) -> str:
        epochs = len(self._r_factors())
        return f"network, {epochs} epochs of the solver" if epochs else "network"

    def _r_factors(self) -> Sequence[float]:
        curve: Sequence[float] = self.metrics.get("r_factors_refining", ())
        return curve

    @property
    def object(self) -> NDArray[np.complex64]:
        """The stitched object (H, W); one where there was no illumination."""
        return self.reconstruction.object

    @property
    def coverage(self) -> NDArray[np.float32]:
        """Illumination (H, W) of each pixel of the object."""
        return self.reconstruction.coverage

    @property
    def probe(self) -> NDArray[np.complex64]:
        """Probe modes (M, N, N) that were used."""
        return self.reconstruction.probe


class InferenceInterrupted(KeyboardInterrupt):
    """A step after the network was interrupted; holds the result so far.

    Attributes
    ----------
    result : InferenceResult
    """

    def __init__(self, result: InferenceResult) -> None:
        made = len(result.metrics.get("r_factors_refining", ()))
        kept = f"the object after {made} epochs of the solver" if made else "that of the network"
        super().__init__(f"interrupted: the result that was kept is {kept}")
        self.result = result
