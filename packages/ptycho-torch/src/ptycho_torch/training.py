"""Training: from scans to a bundle."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import lightning.pytorch as pl
from attrs import evolve
from ptycho_core.checkpoints import check_room, replacing
from ptycho_core.network_training import train_network
from ptycho_core.ranks import is_first_process
from ptycho_core.results import TrainingResult
from ptycho_core.resuming import CHANGES, resumed_state
from ptycho_core.stopping import Patience
from ptycho_core.training_job import Fitted, TrainingJob

from ptycho_torch.bundles import assign_weights, bundle_of
from ptycho_torch.checkpoints import FILES, checkpoint_bytes, load_weights, resume_from
from ptycho_torch.data import ScanDataModule
from ptycho_torch.fitting import fit, make_trainer
from ptycho_torch.lightning_log import quiet_lightning
from ptycho_torch.memory import keep_freed_memory
from ptycho_torch.module import PtychoModule, model_to_train
from ptycho_torch.networks import NETWORKS


def train(scans: Any, *settings: Any, **options: Any) -> TrainingResult:
    """Train a model on a scan, or on several, and write its bundle.

    Further parameters and errors are those of `ptycho_core.network_training.train_network`.
    """
    return train_network(fit_job, bundle_of, FILES, NETWORKS, scans, *settings, **options)


@contextmanager
def fit_job(job: TrainingJob) -> Iterator[Fitted]:
    """Train with Lightning."""
    keep_freed_memory()
    config, execution, data = job.config, job.execution, job.data
    pl.seed_everything(config.seed, workers=True, verbose=False)
    model, validated = model_to_train(config, data.optics), bool(data.validation)
    if job.start is not None:
        assign_weights(model, job.start)
    execution = execution.at_rate(model.network.recommended_rate)
    monitor = execution.monitor(validated=validated)
    module = PtychoModule(model, config, execution, monitor)
    module.blind = module.blind and job.start is None
    module.state = resumed_state(config, execution, job.scans, job.start)
    batches = ScanDataModule(
        data.train,
        data.validation,
        batch_size=config.batch_size,
        seed=config.seed,
        execution=execution,
    )
    rate = execution.rate(model.network.recommended_rate)
    patience = Patience(execution.early_stop_patience, execution.checkpoint_mode, rate)
    start = time.perf_counter()
    # Processes that a launcher starts together would move the folder away from each other.
    first = is_first_process(execution.device_count)
    files = job.checkpoints
    with replacing(files, keep=job.resume) if first else nullcontext():
        path, before, changes = resume_from(files, module.state) if job.resume else (None, 0, [])
        module.state[CHANGES] = changes
        epochs = max(config.nepochs, before)  # never fewer than already done
        if execution.enable_checkpointing and first:
            check_room(files, checkpoint_bytes(module), execution, epochs)
        with quiet_lightning():
            trainer, history, saved = make_trainer(
                job.output,
                evolve(config, nepochs=epochs),
                execution,
                monitor,
                patience,
                job.tracker,
                validated=validated,
                unused=len(job.scans) > 1
                and bool(model.probe_changes() or model.position_shifts()),
                page=job.page,
                look=job.look,
            )
            interrupted = fit(trainer, module, batches, path)
        done = len(history.record.epochs)
        if interrupted and (not done or (saved is not None and not files.found())):
            raise KeyboardInterrupt("interrupted in the first epoch: nothing was saved")
        if saved is not None and first:
            saved.epochs.tidy()
        if saved is not None and saved.epochs.best is not None:
            load_weights(saved.epochs.best, model)
        yield Fitted(
            model=model,
            history=history.record.columns(),
            epochs=done,
            epochs_before=before,
            seconds=time.perf_counter() - start,
            stopped=patience.reason(done, epochs, interrupted=interrupted),
            changes=changes,
            main_process=trainer.is_global_zero,
        )
    trainer.strategy.barrier()  # the bundle is complete before any process returns
