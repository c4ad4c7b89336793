"""Training: from a scan to a bundle."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from attrs import frozen
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_core.checkpoints import check_room, replacing
from ptycho_core.network_training import train_network
from ptycho_core.progress.training import TrainingProgress
from ptycho_core.results import TrainingResult
from ptycho_core.resuming import CHANGES, resumed_state
from ptycho_core.schedules import chosen_scheduler
from ptycho_core.stopping import Patience
from ptycho_core.training_data import TrainingData
from ptycho_core.training_job import Fitted, TrainingJob

from ptycho_tf import checkpoints
from ptycho_tf.bundles import assign_weights, bundle_of
from ptycho_tf.callbacks import (
    EarlyStopping,
    EpochDisplay,
    EpochStart,
    Interrupts,
    Look,
    LossHistory,
    MeanOfWeights,
)
from ptycho_tf.checkpoints import Checkpoints
from ptycho_tf.data import BatchSource
from ptycho_tf.devices import Devices, be_deterministic, open_devices
from ptycho_tf.frameworks import keras
from ptycho_tf.learning import LearningModel
from ptycho_tf.model import PtychoModel
from ptycho_tf.networks import NETWORKS
from ptycho_tf.schedules import Schedule


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


@frozen(eq=False, kw_only=True)
class _Run:
    """A training that is about to begin, with its model, data and callbacks."""

    model: LearningModel
    train: BatchSource
    validation: BatchSource | None
    devices: Devices
    history: LossHistory
    patience: Patience
    interrupts: Interrupts
    saved: Checkpoints | None
    progress: TrainingProgress
    callbacks: list[keras.callbacks.Callback]

    def fit(self, epochs: int, first: int) -> bool:
        """Train; return whether it was interrupted (Ctrl-C or SIGTERM)."""
        validation = self.validation
        with self.interrupts.signals.watch(), closing(self.progress):
            try:
                self.model.fit(
                    self.devices.share(self.train.dataset()),
                    validation_data=validation and self.devices.share(validation.dataset()),
                    epochs=epochs,
                    initial_epoch=first,
                    callbacks=self.callbacks,
                    verbose=0,  # `EpochDisplay` shows a bar
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
    job: TrainingJob,
) -> _Run:
    config = job.config
    execution = job.execution.at_rate(model.network.recommended_rate)
    # Keras calls the losses of training by their bare names.
    monitor = execution.monitor(validated=validation is not None).removeprefix("train_")
    history = LossHistory(job.tracker)
    progress = TrainingProgress(shown=execution.enable_progress_bar, page=job.page)
    look = None if job.look is None else Look(job.look, model)
    display = EpochDisplay(history.record, progress)
    rate = execution.rate(model.network.recommended_rate)
    schedule = Schedule(
        chosen_scheduler(execution.scheduler, model.network.recommended_scheduler),
        rate,
        steps_per_epoch=train.updates,
        epochs=config.nepochs,
        monitor=monitor,
    )
    patience = Patience(execution.early_stop_patience, execution.checkpoint_mode, rate)
    stopping = EarlyStopping(monitor, patience)
    interrupts = Interrupts()
    parts = {"history": history, "schedule": schedule, "patience": stopping}
    saved = None
    if execution.enable_checkpointing:
        of = resumed_state(config, execution, [part.scan for part in train.parts], job.start)
        saved = Checkpoints(job.checkpoints, execution, monitor, parts, of)
    # Checkpoints come last: they hold the state of the other callbacks after the epoch.
    everything = [
        EpochStart(train),
        MeanOfWeights(),
        *parts.values(),
        display,
        look,
        saved,
        interrupts,
    ]
    learning = LearningModel(model, config, execution)
    learning.blind = learning.blind and job.start is None
    return _Run(
        model=learning,
        train=train,
        validation=validation,
        devices=devices,
        history=history,
        patience=patience,
        interrupts=interrupts,
        saved=saved,
        progress=progress,
        callbacks=[callback for callback in everything if callback is not None],
    )


def train(scans: Any, *settings: Any, **options: Any) -> TrainingResult:
    """Train a model on a scan, or on several, and write its bundle.

    Further parameters and errors are those of `ptycho_core.network_training.train_network`.
    """
    return train_network(
        fit_job, bundle_of, checkpoints.FILES, NETWORKS, scans, *settings, **options
    )


@contextmanager
def fit_job(job: TrainingJob) -> Iterator[Fitted]:
    """Train with Keras."""
    config, execution = job.config, job.execution
    keras.utils.set_random_seed(config.seed)
    be_deterministic(execution.deterministic)
    devices = open_devices(execution)
    batches, validation = _sources(job.data, config, execution, devices)
    start = time.perf_counter()
    with replacing(job.checkpoints, keep=job.resume):
        with devices.scope():
            model = _model(job.data, config, execution.precision)
            if job.start is not None:
                assign_weights(model, job.start)
            run = _set_up(model, batches, validation, devices, job)
            saved = run.saved
            first = saved.restore(run.model) if job.resume and saved is not None else 0
            if saved is not None:
                size = checkpoints.checkpoint_bytes(run.model)
                check_room(job.checkpoints, size, execution, config.nepochs)
            ended = run.patience.exhausted  # before it was resumed
            interrupted = run.fit(first if ended else config.nepochs, first)
            done = len(run.history.record.epochs)
            if interrupted and (not done or (saved is not None and not job.checkpoints.found())):
                raise KeyboardInterrupt("interrupted in the first epoch: nothing was saved")
            if saved is not None and saved.epochs.best is not None:
                checkpoints.load(saved.epochs.best, run.model)
            run.model.exchange_with_means()
        yield Fitted(
            model=model,
            history=run.history.record.columns(),
            epochs=done,
            epochs_before=first,
            seconds=time.perf_counter() - start,
            stopped=run.patience.reason(done, config.nepochs, interrupted=interrupted),
            changes=[] if saved is None else saved.of.get(CHANGES, []),
        )
