"""One training of a network: what is the same in every backend."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.adopting import adopt
from ptycho_config.errors import InvalidValueError
from ptycho_data import (
    BUNDLE_NAME,
    MODEL_SET,
    Bundle,
    BundleError,
    NoSpaceError,
    ResultSetError,
    Scan,
    load_bundle,
    result_set,
    save_bundle,
)
from ptycho_physics import DivergenceError

from ptycho_core.checkpoints import CheckpointFiles
from ptycho_core.checks import check_outputs
from ptycho_core.live_page import Publisher
from ptycho_core.networks import Networks
from ptycho_core.ranks import is_first_process
from ptycho_core.refined_scans import write_refined
from ptycho_core.results import TrainingInterrupted, TrainingResult
from ptycho_core.sampling import with_photons
from ptycho_core.sparing import sparing_results
from ptycho_core.tracking.choice import settings_of, tracked
from ptycho_core.tracking.page import WithPage
from ptycho_core.tracking.pictures import training_pictures
from ptycho_core.training_data import TrainingData, gather, separate
from ptycho_core.training_job import Fitted, TrainableModel, TrainingJob

__all__ = ["train_network"]

log = logging.getLogger(__name__)

#: The square of a larger one is infinite in single precision.
LARGEST_WEIGHT = float(np.sqrt(np.finfo(np.float32).max))


def train_network(
    fit: Callable[[TrainingJob], AbstractContextManager[Fitted]],
    bundle_of: Callable[..., Bundle],
    checkpoints: CheckpointFiles,
    networks: Networks[Any],
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
    start: Bundle | None = None,
    start_name: str | None = None,
    finish: Callable[[Path, TrainingResult], None] | None = None,
    page: Publisher | None = None,
) -> TrainingResult:
    """Train a model on a scan, or on several, and write its bundle.

    Parameters
    ----------
    fit
        Trains with the backend; the bundle is written before its context closes.
    bundle_of
        Collects the contents of a bundle from the model, the configuration and the keywords of
        `ptycho_core.bundles.make_bundle`.
    checkpoints
        Names of the checkpoints.
    networks
        Those of the backend.
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
        Resume from the last checkpoint in the output folder, or from the newest one that is
        whole. The bundle is not rewritten if all epochs are already done.
    overwrite
        Replace an existing bundle.
    start
        Trained model of the same network, of any backend, whose weights are the first ones: see
        `ptycho_core.fine_tuning`.
    start_name
        Its name, for the record in the new bundle.
    finish
        Called, if the bundle is written, with the folder in which it is written and the result, to
        write more files of the model there: all of them appear together.
    page
        Live page to show the training on.

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
        If the loss or the weights are not finite.
    OSError
        If the disk is full, among others; the epochs that were saved can be resumed from.
    TrainingInterrupted
        A KeyboardInterrupt: after Ctrl-C or SIGTERM, once the checkpoint and the bundle of the
        best epoch are written.
    """
    target, files = output / BUNDLE_NAME, checkpoints.below(output)
    check_outputs(target, files, resume=resume, overwrite=overwrite)
    if resume and not execution.enable_checkpointing:
        raise InvalidValueError("enable_checkpointing", "true to resume", "false")
    scans = separate(scans)
    config = adopt(TrainingConfig, config, N=scans[0].N)
    overrides = dict(overrides_applied or {})
    dose = config.asked_photons(overrides)
    scans = [with_photons(scan, dose) for scan in scans]
    from_scan = networks.to_train(config.model).starts_from_scan
    held = test_scan and with_photons(test_scan, dose)
    data = gather(scans, held, config, probe, from_scan=from_scan)
    record = {
        "photons": data.photons,
        "domain": scans[0].domain,
        "overrides_applied": overrides,
        "scans": list(data.described()),
        "probe_given": probe is not None,
        "start": {} if start is None else {"name": start_name, **start.identity},
    }
    first = is_first_process(execution.device_count)
    logger = execution.logger_backend if first else "none"
    described = settings_of(config, execution, scans)
    with tracked(logger, output, described, resumed=resume) as tracker:
        job = TrainingJob(
            scans=scans,
            data=data,
            config=config,
            execution=execution,
            output=output,
            checkpoints=files,
            resume=resume,
            start=start,
            tracker=tracker,
        )
        if page is not None:
            made = partial(bundle_of, config=config, history={}, **record)
            job = _shown(job, page, made)
        with _resumable(files), fit(job) as fitted:
            result = _result(target, fitted, written=fitted.epochs > fitted.epochs_before)
            if fitted.main_process:
                with _diverged():
                    bundle = bundle_of(fitted.model, config, history=fitted.history, **record)
                check_finite(bundle)
                if not result.written and not _is_in(target, bundle):
                    result = evolve(result, written=True)
                if result.written:
                    names = _write(job, fitted.model, bundle, result, overwrite, finish)
                    # who interrupts is not kept waiting for pictures
                    pictures = {} if fitted.stopped == "interrupted" else _pictures(job, bundle)
                    job.tracker.results([output / name for name in names], pictures)
                else:
                    log.info("%s; bundle unchanged", _why_done(fitted))
        job.tracker.close(fitted.stopped)
    if fitted.stopped == "interrupted":
        raise TrainingInterrupted(result, resumable=execution.enable_checkpointing)
    return result


def _shown(job: TrainingJob, page: Publisher, bundle_of: Callable[[Any], Bundle]) -> TrainingJob:
    """Return the training with a live page; several processes would wait for its pictures."""
    from ptycho_core.shown_network import ShownNetwork  # imports SciPy

    seen = sum(part.groups.size for part in job.data.train)
    tracker = WithPage(job.tracker, page, patterns=seen, epochs=job.config.nepochs)
    shown = ShownNetwork(
        page=page, bundle_of=bundle_of, scan=job.data.train[0].scan, execution=job.execution
    )
    alone = job.execution.device_count == 1
    return evolve(job, tracker=tracker, page=page, look=shown.look if alone else None)


def _write(
    job: TrainingJob,
    model: TrainableModel,
    bundle: Bundle,
    result: TrainingResult,
    overwrite: bool,
    finish: Callable[[Path, TrainingResult], None] | None,
) -> list[Path]:
    """Write the files of a model, all at once; return their names in the output folder."""
    size = sum(array.nbytes for array in bundle.weights.values())
    replace = overwrite or job.resume
    with result_set(job.output, MODEL_SET, overwrite=replace, size=size) as place:
        for path in write_refined(place, _refined(model, job.data)):
            name = job.output / path.relative_to(place)
            log.info("refined parameters of one scan: %s", name)
        save_bundle(place / BUNDLE_NAME, bundle)
        if finish is not None:
            finish(place, result)
        # hidden ones belong to the writing
        return [path.relative_to(place) for path in sorted(place.rglob("[!.]*")) if path.is_file()]


def _pictures(job: TrainingJob, bundle: Bundle) -> dict[str, bytes]:
    """Return the pictures for a tracker, if it takes any."""
    pictures: dict[str, bytes] = {}
    # other processes of the training wait meanwhile, and would be asked to reconstruct, too
    if job.tracker.pictures and job.execution.device_count == 1:
        log.info("reconstructing %s for the pictures of the logger", job.scans[0].label)
        with sparing_results("no pictures for the logger"):
            pictures = training_pictures(bundle, job.scans[0], job.execution)
    return pictures


def _why_done(fitted: Fitted) -> str:
    if fitted.stopped == "plateau":
        return (
            f"early stopping ended this training after {fitted.epochs} epochs: raise "
            "early_stop_patience to go on"
        )
    return f"all {fitted.epochs} epochs are already done"


@contextmanager
def _resumable(files: CheckpointFiles) -> Iterator[None]:
    """Say of a disk that is full that the training can be resumed, if it has saved an epoch."""
    try:
        yield
    except NoSpaceError as error:
        if files.found():
            reason = f"{error.problem}; make room there, then continue with --resume"
            raise OSError(error.errno, reason, str(error.path)) from error
        raise


@contextmanager
def _diverged() -> Iterator[None]:
    """Say of trained values that no bundle may hold that the training diverged."""
    try:
        yield
    except InvalidValueError as error:
        if not error.name.startswith(("Bundle.probe", "Bundle.scaling", "Bundle.weights")):
            raise
        msg = f"training diverged: lower learning_rate, found {error.name} {error.got}"
        raise DivergenceError(msg) from error


def check_finite(bundle: Bundle) -> None:
    """Refuse weights that are not finite, or so large that their products are not.

    Raises
    ------
    DivergenceError
        Naming the first of them.
    """
    for name, weights in bundle.weights.items():
        largest = np.abs(weights).max(initial=0)
        if not largest < LARGEST_WEIGHT:
            msg = f"training diverged: lower learning_rate, found {name} up to {largest:.2g}"
            raise DivergenceError(msg)


def _is_in(target: Path, bundle: Bundle) -> bool:
    """Return whether a folder holds the same training as a bundle: it may hold an earlier one."""
    try:
        found = load_bundle(target.parent)
    except (BundleError, ResultSetError, OSError):
        return False
    pairs = ((found.weights, bundle.weights), (found.history, bundle.history))
    return all(
        one.keys() == other.keys()
        and all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)
        for one, other in pairs
    )


def _result(target: Path, fitted: Fitted, *, written: bool) -> TrainingResult:
    return TrainingResult(
        bundle_path=target,
        history=fitted.history,
        seconds=fitted.seconds,
        epochs=fitted.epochs,
        stopped=fitted.stopped,
        changes=fitted.changes,
        main_process=fitted.main_process,
        written=written,
    )


def _refined(
    model: TrainableModel, data: TrainingData
) -> Iterator[tuple[Scan, NDArray[np.complex64], NDArray[np.float32] | None]]:
    """Yield the refined parameters of each scan that the bundle cannot hold."""
    moved = bool(model.position_shifts())
    if moved or (model.probe_changes() and len(data.train) > 1):
        for part in data.train:
            yield part.scan, *model.refined(part.number)
