"""Training: from a scan to a bundle."""

import logging
import math
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from attrs import frozen
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_data import (
    BUNDLE_NAME,
    OutputExistsError,
    Scan,
    load_probe,
    save_bundle,
)
from ptycho_physics import DivergenceError

from ptycho_torch.bundles import bundle_of
from ptycho_torch.callbacks import LossHistory
from ptycho_torch.data import ScanDataModule
from ptycho_torch.groups import prepare
from ptycho_torch.lightning_manners import make, quiet_lightning
from ptycho_torch.loggers import make_logger
from ptycho_torch.model import PtychoModel
from ptycho_torch.module import PtychoModule

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"


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
    """

    bundle_path: Path
    history: dict[str, list[float]]
    seconds: float
    epochs: int
    main_process: bool


def _resolve_monitor(execution: PyTorchExecutionConfig, *, validated: bool) -> str:
    metric = execution.checkpoint_monitor_metric
    known = ("train_loss", "val_loss") if validated else ("train_loss",)
    if metric == "val_loss" and not validated:
        return "train_loss"
    if metric not in known:
        msg = f"checkpoint_monitor_metric: one of {', '.join(known)} expected, found {metric!r}"
        raise ValueError(msg)
    return metric


def _make_trainer(
    output_dir: Path,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    monitor: str,
    *,
    validated: bool,
    resume: bool = False,
) -> tuple[pl.Trainer, LossHistory, ModelCheckpoint | None]:
    history = LossHistory()
    best: ModelCheckpoint | None = None
    callbacks: list[Callback] = [
        history,
        EarlyStopping(
            monitor, patience=execution.early_stop_patience, mode=execution.checkpoint_mode
        ),
    ]
    if execution.enable_checkpointing:
        best = ModelCheckpoint(
            output_dir / CHECKPOINTS,
            filename="best-{epoch:03d}",
            monitor=monitor,
            mode=execution.checkpoint_mode,
            save_top_k=execution.checkpoint_save_top_k,
            save_last=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        callbacks.append(best)
    trainer = make(
        pl.Trainer,
        accelerator=execution.accelerator,
        devices=execution.devices,
        num_nodes=execution.num_nodes,
        strategy=execution.strategy,
        precision=execution.precision,
        deterministic=execution.deterministic,
        gradient_clip_val=execution.gradient_clip_val,
        gradient_clip_algorithm=execution.gradient_clip_algorithm,
        accumulate_grad_batches=execution.accum_steps,
        max_epochs=config.nepochs,
        limit_val_batches=None if validated else 0,
        callbacks=callbacks,
        logger=make_logger(execution.logger_backend, output_dir, resume=resume),
        enable_checkpointing=execution.enable_checkpointing,
        enable_progress_bar=execution.enable_progress_bar and sys.stderr.isatty(),
        enable_model_summary=False,
        use_distributed_sampler=False,  # the batches are dealt out by their own sampler
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        default_root_dir=output_dir,
    )
    return trainer, history, best


def _fit(
    trainer: pl.Trainer, module: PtychoModule, data: ScanDataModule, resume: Path | None
) -> bool:
    """Train; return whether it was interrupted (Ctrl-C or SIGTERM)."""
    # Lightning ignores Ctrl-C once it has seen one; only the main thread may have handlers.
    main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    except SystemExit:  # how Lightning ends after a signal
        return True
    finally:
        if main_thread and previous is not None:
            signal.signal(signal.SIGINT, previous)
    return bool(trainer.interrupted)


def _counts_decide(config: TrainingConfig) -> bool:
    """Whether a loss compares counts: nothing else can tell the intensity scale."""
    pinn = config.model.model_type == "pinn"
    return pinn and (config.nll_weight > 0 or config.mae_weight > 0)


def _check_finite(history: LossHistory) -> None:
    loss = history.epochs[-1]["train_loss"] if history.epochs else 0.0
    if not math.isfinite(loss):
        msg = f"training diverged in epoch {len(history.epochs)}: lower learning_rate, found {loss}"
        raise DivergenceError(msg)


@contextmanager
def _replacing(folder: Path, *, keep: bool) -> Iterator[None]:
    """Start with an empty folder; if the work fails, the old one comes back."""
    old = folder.with_name(f"{folder.name}.old")
    if folder.exists() and not keep:
        shutil.rmtree(old, ignore_errors=True)  # what a run killed in here left
        folder.replace(old)
    try:
        yield
    except Exception:
        if old.exists():
            shutil.rmtree(folder, ignore_errors=True)
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _load_best(model: PtychoModel, best: ModelCheckpoint | None) -> None:
    if best is None or not best.best_model_path:
        return
    checkpoint = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    prefix = "model."
    state = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items()}
    model.load_state_dict(state)


def _check_outputs(target: Path, last: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to replace a bundle, or the checkpoint of a run that may be resumed, unasked."""
    if resume:
        if not last.exists():
            msg = f"{last}: nothing to resume from; train without resume first"
            raise FileNotFoundError(msg)
        return
    for path in (target, last):
        if path.exists() and not overwrite:
            raise OutputExistsError(path)


def train(
    scan: Scan,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    *,
    test_scan: Scan | None = None,
    overrides_applied: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainingResult:
    """Train a model on a scan and write its bundle to ``config.output_dir``.

    Parameters
    ----------
    scan
        Patterns, positions and probe to learn from.
    config
        What to compute.
    execution
        How to run it.
    test_scan
        Scan to validate on. Default: groups at the right edge of ``scan`` are set apart.
    overrides_applied
        Origins of the configuration, kept in the bundle.
    resume
        Go on from the last checkpoint in the output folder.
    overwrite
        Replace a bundle that is there.

    Returns
    -------
    TrainingResult

    Raises
    ------
    OutputExistsError
        If there is a bundle, or a checkpoint to resume from, and neither ``overwrite`` nor
        ``resume`` is set.
    FileNotFoundError
        If there is nothing to resume from.
    ValueError
        If scan and configuration do not fit.
    DivergenceError
        If the loss is no longer finite.
    KeyboardInterrupt
        After an interrupt, when the checkpoint and the bundle of the best epoch are written.
    """
    output_dir = Path(config.output_dir)
    target = output_dir / BUNDLE_NAME
    last = output_dir / CHECKPOINTS / "last.ckpt"
    _check_outputs(target, last, resume=resume, overwrite=overwrite)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    probe = scan.probe if config.probe_file is None else load_probe(config.probe_file)
    train_part, validation = prepare(scan, test_scan, config, probe)
    monitor = _resolve_monitor(execution, validated=validation is not None)
    model = PtychoModel(
        config.model,
        probe,
        scan.bad_pixels,
        probe_trainable=config.probe_trainable,
        intensity_scale_trainable=config.intensity_scale_trainable and _counts_decide(config),
    )
    module = PtychoModule(model, config, execution, monitor)
    data = ScanDataModule(
        train_part,
        validation,
        batch_size=config.batch_size,
        seed=config.seed,
        execution=execution,
    )
    start = time.perf_counter()
    with quiet_lightning(), _replacing(last.parent, keep=resume):
        trainer, history, best = _make_trainer(
            output_dir, config, execution, monitor, validated=validation is not None, resume=resume
        )
        interrupted = _fit(trainer, module, data, last if resume else None)
        _check_finite(history)
    seconds = time.perf_counter() - start
    if interrupted and not history.epochs:
        raise KeyboardInterrupt("interrupted in the first epoch: nothing was saved")
    _load_best(model, best)
    if trainer.is_global_zero:
        bundle = bundle_of(
            model,
            config,
            photons=train_part.photons,
            domain=scan.domain,
            history=history.columns(),
            overrides_applied=overrides_applied or {},
        )
        save_bundle(output_dir, bundle, overwrite=overwrite or resume)
    trainer.strategy.barrier()  # whoever returns finds the bundle
    if interrupted:
        done = len(history.epochs)
        raise KeyboardInterrupt(f"interrupted after {done} epochs: resume to go on from there")
    return TrainingResult(
        bundle_path=target,
        history=history.columns(),
        seconds=seconds,
        epochs=len(history.epochs),
        main_process=trainer.is_global_zero,
    )
