"""What a training and a reconstruction give back, whichever backend computed them."""

from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction

__all__ = ["InferenceResult", "TrainingInterrupted", "TrainingResult"]


@frozen(kw_only=True)
class TrainingResult:
    """What training left behind.

    Attributes
    ----------
    bundle_path : Path
        The bundle written.
    history : dict of str to list of float
        Losses by name, one value per epoch.
    seconds : float
        Wall time of the training.
    epochs : int
        Epochs finished, those before a resume included.
    main_process : bool
        Whether this is the process, of several, that reports and writes.
    written : bool
        Whether the bundle is new: nothing was left to do for a resumed training otherwise.
    """

    bundle_path: Path
    history: dict[str, list[float]]
    seconds: float
    epochs: int
    main_process: bool = True
    written: bool = True


class TrainingInterrupted(KeyboardInterrupt):
    """A training that was told to stop, with what it has got so far.

    Attributes
    ----------
    result : TrainingResult
    """

    def __init__(self, result: TrainingResult, *, resumable: bool = True) -> None:
        rest = "--resume goes on from there" if resumable else "without checkpoints it ends here"
        done = f"{result.epochs} epoch{'' if result.epochs == 1 else 's'}"
        super().__init__(f"interrupted after {done}: {rest}")
        self.result = result


@frozen(kw_only=True, eq=False)
class InferenceResult:
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
        Patterns over the seconds of the pass from file to object, start-up left out.
    backend : str
        Who computed.
    main_process : bool
        Whether this is the process, of several, that reports and writes.
    metrics : dict
        Figures of quality: those that ``metrics.json`` holds.
    path : Path or None
        Folder that the results were written to.
    """

    reconstruction: Reconstruction
    r_factor: float
    timings: dict[str, float] = field(factory=dict)
    patterns_per_second: float
    backend: str
    main_process: bool = True
    metrics: dict[str, Any] = field(factory=dict)
    path: Path | None = None

    @property
    def object(self) -> NDArray[np.complex64]:
        """The stitched object (H, W); one where no light went."""
        return self.reconstruction.object

    @property
    def coverage(self) -> NDArray[np.float32]:
        """Illumination (H, W) that each pixel of the object got."""
        return self.reconstruction.coverage

    @property
    def probe(self) -> NDArray[np.complex64]:
        """Probe modes (M, N, N) that were used."""
        return self.reconstruction.probe
