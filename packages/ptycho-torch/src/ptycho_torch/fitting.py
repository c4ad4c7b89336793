"""The training loop run by Lightning: trainer, signals."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_core.live_page import Publisher
from ptycho_core.stopping import Patience
from ptycho_core.tracking.base import Tracker

from ptycho_torch.callbacks import EarlyStopping, EpochDisplay, Look, LossHistory, MeanOfWeights
from ptycho_torch.checkpoints import FILES, Checkpoints, CheckpointWriter
from ptycho_torch.data import ScanDataModule
from ptycho_torch.lightning_log import make, quiet_lightning
from ptycho_torch.module import PtychoModule


def check_trainer(execution: PyTorchExecutionConfig) -> None:
    """Refuse devices, strategies and precisions that are unavailable here.

    Raises
    ------
    InvalidValueError
        As `make_trainer`.
    """
    switch = torch.are_deterministic_algorithms_enabled()
    with quiet_lightning():
        make(
            pl.Trainer,
            execution,
            strategy=execution.strategy,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    torch.use_deterministic_algorithms(switch)


def make_trainer(
    output_dir: Path,
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    monitor: str,
    patience: Patience,
    tracker: Tracker,
    *,
    validated: bool,
    unused: bool = False,
    page: Publisher | None = None,
    look: Callable[[Any, int], None] | None = None,
) -> tuple[pl.Trainer, LossHistory, Checkpoints | None]:
    """Return a trainer, the callback with its losses, and that with its checkpoints, if any.

    Raises
    ------
    InvalidValueError
        If the settings cannot be met on this machine.
    """
    history = LossHistory(tracker)
    saved: Checkpoints | None = None
    callbacks: list[Callback] = [
        history,
        EpochDisplay(history.record, shown=execution.enable_progress_bar, page=page),
        EarlyStopping(monitor, patience),
        *([] if look is None else [Look(look)]),
    ]
    if config.average_weights:
        callbacks.append(MeanOfWeights())
    if execution.enable_checkpointing:
        saved = Checkpoints(FILES.below(output_dir), execution, monitor)
        callbacks.append(saved)
    trainer = make(
        pl.Trainer,
        execution,
        strategy=_strategy(execution, unused=unused),
        deterministic=execution.deterministic,
        gradient_clip_val=execution.gradient_clip_val,
        gradient_clip_algorithm=execution.gradient_clip_algorithm,
        accumulate_grad_batches=execution.accum_steps,
        max_epochs=config.nepochs,
        limit_val_batches=None if validated else 0,
        callbacks=callbacks,
        plugins=[CheckpointWriter()],
        logger=False,
        enable_checkpointing=execution.enable_checkpointing,
        enable_progress_bar=False,  # `EpochDisplay` shows one
        enable_model_summary=False,
        use_distributed_sampler=False,  # the batches are distributed by their own sampler
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        default_root_dir=output_dir,
    )
    return trainer, history, saved


def fit(
    trainer: pl.Trainer, module: PtychoModule, data: ScanDataModule, resume: Path | None
) -> bool:
    """Train; return whether it was interrupted (Ctrl-C or SIGTERM)."""
    # Lightning ignores Ctrl-C after the first one; only the main thread may set handlers.
    main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
        interrupted = bool(trainer.interrupted)
    except SystemExit:  # how Lightning ends after a signal
        interrupted = True
    finally:
        if main_thread and previous is not None:
            signal.signal(signal.SIGINT, previous)
    if interrupted and trainer.global_step:
        for callback in trainer.callbacks:
            if isinstance(callback, MeanOfWeights):
                callback.on_train_end(trainer, module)  # Lightning omits this after a signal
    return interrupted


def _strategy(execution: PyTorchExecutionConfig, *, unused: bool) -> str:
    """Return Lightning's name; ``unused``: some batches do not use all trainable parameters."""
    if unused and execution.device_count > 1 and execution.strategy in ("auto", "ddp"):
        return "ddp_find_unused_parameters_true"
    return execution.strategy
