"""The training loop run by Lightning: trainer, checkpoints, signals."""

import math
import pickle
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_core.resuming import check_resumed
from ptycho_physics import DivergenceError

from ptycho_torch.callbacks import LossHistory, MeanOfWeights
from ptycho_torch.data import ScanDataModule
from ptycho_torch.lightning_log import make, quiet_lightning
from ptycho_torch.loggers import make_logger
from ptycho_torch.model import PtychoModel
from ptycho_torch.module import PtychoModule

CHECKPOINTS = "checkpoints"


class BestEpochs(ModelCheckpoint):
    """Lightning's checkpoint callback, which also keeps a last epoch that is not among the best.

    Its folder may have moved since it was written.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save an epoch among the best, and every epoch as the one to resume from."""
        super().on_train_epoch_end(trainer, pl_module)
        if self._last_global_step_saved != trainer.global_step:  # Lightning saved nothing
            self.last_model_path = str(Path(self.dirpath) / "last.ckpt")
            trainer.save_checkpoint(self.last_model_path)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint, with its file names in the current folder."""

        def here(path: str) -> str:
            return str(Path(self.dirpath) / Path(path).name) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in paths}
        kept = {here(path): score for path, score in state_dict["best_k_models"].items()}
        here_now = {**moved, "best_k_models": kept, "dirpath": self.dirpath}
        super().load_state_dict(state_dict | here_now)


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
            accelerator=execution.accelerator,
            devices=execution.devices,
            num_nodes=execution.num_nodes,
            strategy=execution.strategy,
            precision=execution.precision,
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
    *,
    validated: bool,
    resume: bool = False,
    unused: bool = False,
) -> tuple[pl.Trainer, LossHistory, ModelCheckpoint | None]:
    """Return a trainer, the callback with its losses, and the callback with its best weights.

    Raises
    ------
    InvalidValueError
        If the settings cannot be met on this machine.
    """
    history = LossHistory()
    best: ModelCheckpoint | None = None
    callbacks: list[Callback] = [
        history,
        EarlyStopping(
            monitor, patience=execution.early_stop_patience, mode=execution.checkpoint_mode
        ),
    ]
    if config.average_weights:
        callbacks.append(MeanOfWeights())
    if execution.enable_checkpointing:
        best = BestEpochs(
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
        strategy=_strategy(execution, unused=unused),
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
        use_distributed_sampler=False,  # the batches are distributed by their own sampler
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        default_root_dir=output_dir,
    )
    return trainer, history, best


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


def check_finite(history: LossHistory) -> None:
    """Raise an error if the loss is not finite.

    Raises
    ------
    DivergenceError
        If the loss is not finite; the message names the epoch.
    """
    loss = history.epochs[-1]["train_loss"] if history.epochs else 0.0
    if not math.isfinite(loss):
        msg = f"training diverged in epoch {len(history.epochs)}: lower learning_rate, found {loss}"
        raise DivergenceError(msg)


def load_best(model: PtychoModel, best: ModelCheckpoint | None) -> None:
    """Load the weights of the best epoch into a model, if they were kept."""
    if best is None or not best.best_model_path:
        return
    checkpoint = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    prefix = "model."
    state = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items()}
    model.load_state_dict(state)


def _strategy(execution: PyTorchExecutionConfig, *, unused: bool) -> str:
    """Return Lightning's name; ``unused``: some batches do not use all trainable parameters."""
    several = execution.devices * execution.num_nodes > 1
    if unused and several and execution.strategy in ("auto", "ddp"):
        return "ddp_find_unused_parameters_true"
    return execution.strategy


def epochs_in(checkpoint: Path, of: dict[str, Any]) -> int:
    """Return the number of finished epochs in a checkpoint.

    Raises
    ------
    InvalidValueError
        If it is not a checkpoint, or belongs to a training of other variables than ``of``.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        rule = "a checkpoint of the PyTorch backend"
        raise InvalidValueError(str(checkpoint), rule, f"another file ({reason})") from error
    check_resumed(checkpoint, state.get("of", {}), of)
    history = state.get("callbacks", {}).get(LossHistory().state_key, {})
    return len(history.get("epochs", []))
