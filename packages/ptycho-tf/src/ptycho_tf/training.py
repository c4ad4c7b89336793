"""Training: from a scan to a bundle."""

import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.adopting import adopt
from ptycho_core.checks import check_outputs
from ptycho_core.refined_scans import write_refined
from ptycho_core.results import TrainingInterrupted, TrainingResult
from ptycho_core.resuming import replacing, resumed_state
from ptycho_core.sampling import with_photons
from ptycho_core.schedules import chosen_scheduler
from ptycho_core.training_data import TrainingData, gather
from ptycho_data import BUNDLE_NAME, Scan, save_bundle

from ptycho_tf import checkpoints
from ptycho_tf.bundles import bundle_of
from ptycho_tf.callbacks import EarlyStopping, EpochStart, Interrupts, LossHistory, MeanOfWeights
from ptycho_tf.checkpoints import Checkpoints
from ptycho_tf.data import BatchSource
from ptycho_tf.devices import Devices, be_deterministic, open_devices
from ptycho_tf.frameworks import keras
from ptycho_tf.learning import LearningModel
from ptycho_tf.loggers import make_logger
from ptycho_tf.model import PtychoModel
from ptycho_tf.schedules import Schedule
from ptycho_tf.settings import check_training

log = logging.getLogger(__name__)


def _sources(
    data: TrainingData, config: TrainingConfig, execution: PyTorchExecutionConfig, devices: Devices
) -> tuple[BatchSource, BatchSource | None]:
    train, validation = (
        BatchSource(
            parts=parts,
            batch_size=config.batch_size,
            seed=config.seed,
            execution=execution,
            fixed=fixed,
            replicas=devices.count,
            synthetic=None
            if fixed or not config.synthetic_batches
            else config.uses_synthetic_batches,
        )
        for parts, fixed in ((data.train, False), (data.validation, True))
    )
    return train, validation if data.validation else None


def _model(data: TrainingData, config: TrainingConfig, precision: str) -> PtychoModel:
    """Make a model with the optics of every scan."""
    first, *others = data.optics
    return PtychoModel(
        config.model,
        first.probe,
        first.bad_pixels,
        probe_trainable=first.probe_trainable,
        intensity_scale_trainable=config.intensity_scale_trainable and config.counts_decide,
        movable=first.movable,
        others=others,
        precision=precision,
    )


def _refined(
    model: PtychoModel, data: TrainingData
) -> Iterator[tuple[Scan, NDArray[np.complex64], NDArray[np.float32] | None]]:
    """Yield the refined parameters of each scan that the bundle cannot hold."""
    moved = bool(model.position_shifts())
    if not moved and not (model.probe_changes() and len(data.train) > 1):
        return
    for part in data.train:
        own = model.scans[part.number]
        offsets = None if own.shifts is None else own.offsets.numpy()
        yield part.scan, own.probe.numpy()[: own.modes], offsets


@frozen(eq=False, kw_only=True)
class _Run:
    """A training that is about to begin, with its model, data and callbacks."""

    model: LearningModel
    train: BatchSource
    validation: BatchSource | None
    devices: Devices
    history: LossHistory
    interrupts: Interrupts
    saved: Checkpoints | None
    callbacks: list[keras.callbacks.Callback]

    def fit(self, epochs: int, first: int, *, bar: bool) -> bool:
        """Train; return whether it was interrupted (Ctrl-C or SIGTERM)."""
        validation = self.validation
        with self.interrupts.watch():
            try:
                self.model.fit(
                    self.devices.share(self.train.dataset()),
                    validation_data=validation and self.devices.share(validation.dataset()),
                    epochs=epochs,
                    initial_epoch=first,
                    callbacks=self.callbacks,
                    verbose=1 if bar else 0,
                    shuffle=False,  # the source of batches does
                )
            except KeyboardInterrupt:
                return True
        return False


def _set_up(
    model: PtychoModel,
    train: BatchSource,
    validation: BatchSource | None,
    devices: Devices,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    *,
    output: Path,
    resume: bool,
) -> _Run:
    # Keras calls the losses of training by their bare names.
    monitor = execution.monitor(validated=validation is not None).removeprefix("train_")
    history = LossHistory(
        config.nepochs, make_logger(execution.logger_backend, output, resume=resume)
    )
    schedule = Schedule(
        chosen_scheduler(execution.scheduler, model.network.recommended_scheduler),
        execution.rate(model.network.recommended_rate),
        steps_per_epoch=train.updates,
        epochs=config.nepochs,
        monitor=monitor,
    )
    patience = EarlyStopping(
        monitor, patience=execution.early_stop_patience, mode=execution.checkpoint_mode
    )
    interrupts = Interrupts()
    parts = {"history": history, "schedule": schedule, "patience": patience}
    saved = None
    if execution.enable_checkpointing:
        folder = output / checkpoints.FOLDER
        of = resumed_state(config, execution, [part.scan for part in train.parts])
        saved = Checkpoints(folder, execution, monitor, parts, of)
    # Checkpoints come last: they hold the state of the other callbacks after the epoch.
    everything = [EpochStart(train), MeanOfWeights(), *parts.values(), saved, interrupts]
    return _Run(
        model=LearningModel(model, config, execution),
        train=train,
        validation=validation,
        devices=devices,
        history=history,
        interrupts=interrupts,
        saved=saved,
        callbacks=[callback for callback in everything if callback is not None],
    )


def train(
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
    """Train a model on a scan and write its bundle.

    Parameters
    ----------
    scans
        Patterns, positions and probe to train on. Several scans share the network and the
        intensity scale; each has its own probe, bad pixels, dose and validation strip.
    config
        What to compute.
    execution
        How to run it.
    output
        Folder for the bundle, the checkpoints and the logs; made if missing.
    probe : (M, N, N) complex64, optional
        Probe to use instead of the scan's own.
    test_scan
        Scan to validate on. Default: groups at the right edge of the scan are set apart.
    overrides_applied
        Origins of the configuration, kept in the bundle.
    resume
        Resume from the last checkpoint in the output folder. The bundle is not rewritten if all
        epochs are already done.
    overwrite
        Replace an existing bundle.

    Returns
    -------
    TrainingResult

    Raises
    ------
    OutputExistsError
        If there is a bundle, or a checkpoint to resume from, and neither ``overwrite`` nor
        ``resume`` is set.
    FileNotFoundError
        If there is no checkpoint to resume from.
    ValueError
        If scan and configuration do not match.
    DivergenceError
        If the loss is not finite.
    TrainingInterrupted
        A KeyboardInterrupt: after Ctrl-C or SIGTERM, once the checkpoint and the bundle of the
        best epoch are written.
    """
    target, last = output / BUNDLE_NAME, output / checkpoints.FOLDER / checkpoints.LAST
    check_outputs(target, last, resume=resume, overwrite=overwrite)
    scans = [scans] if isinstance(scans, Scan) else scans
    config = adopt(TrainingConfig, config, N=scans[0].N)
    check_training(config, execution, len(scans))
    overrides = dict(overrides_applied or {})
    dose = config.asked_photons(overrides)
    scans = [with_photons(scan, dose) for scan in scans]
    test_scan = None if test_scan is None else with_photons(test_scan, dose)
    data = gather(scans, test_scan, config, probe)
    keras.utils.set_random_seed(config.seed)
    be_deterministic(execution.deterministic)
    devices = open_devices(execution)
    batches, validation = _sources(data, config, execution, devices)
    bar = execution.enable_progress_bar and sys.stderr.isatty()
    start = time.perf_counter()
    with devices.scope(), replacing(last.parent, keep=resume):
        model = _model(data, config, execution.precision)
        execution = execution.at_rate(model.network.recommended_rate)
        run = _set_up(
            model, batches, validation, devices, config, execution, output=output, resume=resume
        )
        first = run.saved.restore(run.model)["finished"] if resume and run.saved else 0
        interrupted = run.fit(config.nepochs, first, bar=bar)
        history = run.history
        if interrupted and not history.epochs:
            raise KeyboardInterrupt("interrupted in the first epoch: nothing was saved")
        if run.saved is not None and run.saved.best is not None:
            checkpoints.load(run.saved.best, run.model, run.saved.of)
        run.model.exchange_with_means()
    seconds = time.perf_counter() - start
    done = len(history.epochs)
    written = not (resume and done == first and target.exists())
    if written:
        bundle = bundle_of(
            model,
            config,
            photons=data.photons,
            domain=scans[0].domain,
            history=history.columns(),
            overrides_applied=overrides,
            scans=data.described(),
            probe_given=probe is not None,
        )
        for path in write_refined(output, _refined(model, data)):
            log.info("refined parameters of one scan: %s", path)
        save_bundle(output, bundle, overwrite=overwrite or resume)
    else:
        log.info("all %d epochs are already done; bundle unchanged", done)
    result = TrainingResult(
        bundle_path=target,
        history=history.columns(),
        seconds=seconds,
        epochs=done,
        written=written,
    )
    if interrupted:
        raise TrainingInterrupted(result, resumable=execution.enable_checkpointing)
    return result
