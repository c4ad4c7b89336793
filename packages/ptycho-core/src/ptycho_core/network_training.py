"""One training of a network: what is the same in every backend."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.adopting import adopt
from ptycho_data import BUNDLE_NAME, Bundle, Scan, save_bundle

from ptycho_core.checks import check_outputs
from ptycho_core.refined_scans import write_refined
from ptycho_core.results import TrainingInterrupted, TrainingResult
from ptycho_core.sampling import with_photons
from ptycho_core.training_data import TrainingData, gather, separate

__all__ = ["Fitted", "TrainableModel", "TrainingJob", "train_network"]

log = logging.getLogger(__name__)


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
    last : Path
        Checkpoint of the last epoch.
    resume : bool
        Whether to resume from it.
    """

    scans: Sequence[Scan]
    data: TrainingData
    config: TrainingConfig
    execution: PyTorchExecutionConfig
    output: Path
    last: Path
    resume: bool


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
    interrupted : bool
        Whether Ctrl-C or SIGTERM ended it.
    main_process : bool
        Whether this process writes, if there are several.
    """

    model: Any
    history: dict[str, list[float]]
    epochs: int
    epochs_before: int
    seconds: float
    interrupted: bool
    main_process: bool = True


def train_network(
    fit: Callable[[TrainingJob], AbstractContextManager[Fitted]],
    bundle_of: Callable[..., Bundle],
    last: Path,
    scans: Scan | Sequence[Scan],
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    *,
    output: Path,
    probe: NDArray[np.complex64] | None = None,
    test_scan: Scan | None = None,
    overrides_applied: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainingResult:
    """Train a model on a scan, or on several, and write its bundle.

    Parameters
    ----------
    fit
        Trains with the backend; the bundle is written before its context closes.
    bundle_of
        Collects the contents of a bundle from the model, the configuration and the keywords of
        `ptycho_core.bundles.make_bundle`.
    last
        Checkpoint of the last epoch, relative to `output`.
    scans
        Patterns, positions and probe to train on. Several scans share the network and the
        intensity scale; each has its own probe, bad pixels, dose and validation strip. A scan
        whose `scan_index` tells several apart counts as several.
    config
        What to compute.
    execution
        How to run it.
    output
        Folder for the bundle, the checkpoints and the logs; made if missing.
    probe : (M, N, N) complex64, optional
        Probe to use instead of each scan's own.
    test_scan
        Scan to validate on. Default: groups at the right edge of each scan are set apart.
    overrides_applied
        Origins of the configuration, kept in the bundle.
    resume
        Resume from the last checkpoint in the output folder. The bundle is not rewritten if all
        epochs are already done.
    overwrite
        Replace an existing bundle.

    Raises
    ------
    OutputExistsError
        If there is a bundle, or a checkpoint to resume from, and neither ``overwrite`` nor
        ``resume`` is set.
    MissingFileError
        If there is no checkpoint to resume from.
    InvalidValueError
        If scan and configuration do not match.
    DivergenceError
        If the loss is not finite.
    TrainingInterrupted
        A KeyboardInterrupt: after Ctrl-C or SIGTERM, once the checkpoint and the bundle of the
        best epoch are written.
    """
    target = output / BUNDLE_NAME
    check_outputs(target, output / last, resume=resume, overwrite=overwrite)
    scans = separate(scans)
    config = adopt(TrainingConfig, config, N=scans[0].N)
    overrides = dict(overrides_applied or {})
    dose = config.asked_photons(overrides)
    scans = [with_photons(scan, dose) for scan in scans]
    data = gather(scans, test_scan and with_photons(test_scan, dose), config, probe)
    job = TrainingJob(
        scans=scans,
        data=data,
        config=config,
        execution=execution,
        output=output,
        last=output / last,
        resume=resume,
    )
    with fit(job) as fitted:
        written = not (resume and fitted.epochs == fitted.epochs_before and target.exists())
        if fitted.main_process and not written:
            log.info("all %d epochs are already done; bundle unchanged", fitted.epochs)
        elif fitted.main_process:
            bundle = bundle_of(
                fitted.model,
                config,
                photons=data.photons,
                domain=scans[0].domain,
                history=fitted.history,
                overrides_applied=overrides,
                scans=list(data.described()),
                probe_given=probe is not None,
            )
            for path in write_refined(output, _refined(fitted.model, data)):
                log.info("refined parameters of one scan: %s", path)
            save_bundle(output, bundle, overwrite=overwrite or resume)
    result = TrainingResult(
        bundle_path=target,
        history=fitted.history,
        seconds=fitted.seconds,
        epochs=fitted.epochs,
        main_process=fitted.main_process,
        written=written,
    )
    if fitted.interrupted:
        raise TrainingInterrupted(result, resumable=execution.enable_checkpointing)
    return result


def _refined(
    model: TrainableModel, data: TrainingData
) -> Iterator[tuple[Scan, NDArray[np.complex64], NDArray[np.float32] | None]]:
    """Yield the refined parameters of each scan that the bundle cannot hold."""
    moved = bool(model.position_shifts())
    if moved or (model.probe_changes() and len(data.train) > 1):
        for part in data.train:
            yield part.scan, *model.refined(part.number)
