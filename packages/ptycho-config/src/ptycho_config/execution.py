"""How to run: devices, precision, optimiser, checkpoints and loaders, but not what to compute."""

from functools import partial
from typing import ClassVar, Literal

import attrs

from ptycho_config.checks import Rule, as_scheduler, none_or_same, validate
from ptycho_config.errors import InvalidValueError
from ptycho_config.options import about, documented
from ptycho_config.types import (
    Accelerator,
    CheckpointMode,
    ClipAlgorithm,
    LoggerBackend,
    Precision,
    Scheduler,
)

_about = partial(about, legacy=None)  # execution settings never reach the legacy dictionary


def _persistent_needs_workers(config: "PyTorchExecutionConfig") -> str | None:
    if not config.persistent_workers or config.num_workers > 0:
        return None
    return "persistent_workers must be false unless num_workers >= 1, got true with num_workers 0"


def _prefetch_needs_workers(config: "PyTorchExecutionConfig") -> str | None:
    if config.prefetch_factor is None or config.num_workers > 0:
        return None
    return (
        "prefetch_factor must be none unless num_workers >= 1, "
        f"got {config.prefetch_factor} with num_workers 0"
    )


_RULES: tuple[Rule, ...] = (
    (("persistent_workers", "num_workers"), _persistent_needs_workers),
    (("prefetch_factor", "num_workers"), _prefetch_needs_workers),
)


@documented
@attrs.frozen(kw_only=True)
class PyTorchExecutionConfig:
    """Where and how a backend runs; the name is historical.

    Raises
    ------
    ConfigError
        With every violation, each naming field, rule and received value.
    """

    GROUP: ClassVar[str] = "Execution"

    accelerator: Accelerator = attrs.field(
        default="auto",
        metadata=_about("Type of device to run on; 'auto' selects the best one available."),
    )
    devices: int = attrs.field(
        default=1, metadata=_about("Number of devices per node.", minimum=1, maximum=1024)
    )
    num_nodes: int = attrs.field(
        default=1, metadata=_about("Number of nodes (computers).", minimum=1, maximum=65_536)
    )
    strategy: str = attrs.field(
        default="auto",
        metadata=_about(
            "Strategy for several devices, by its name in Lightning, for example 'ddp'."
        ),
    )
    precision: Precision = attrs.field(
        default="32-true",
        metadata=_about(
            "Floating-point precision of the network; mixed precision is faster on GPUs."
        ),
    )
    deterministic: bool | Literal["warn"] = attrs.field(
        default=True,
        metadata=_about(
            "Bit-identical results for the same seed on the same machine with the same number of "
            "threads; 'warn' permits non-deterministic operations, with a warning."
        ),
    )
    gradient_clip_val: float | None = attrs.field(
        default=1.0,
        converter=none_or_same,
        metadata=_about(
            "Gradient clipping threshold.",
            above=0,
            none_means="no clipping",
            example=1.0,
        ),
    )
    gradient_clip_algorithm: ClipAlgorithm = attrs.field(
        default="norm",
        metadata=_about("Clip the norm of the whole gradient, or the value of each component."),
    )
    accum_steps: int = attrs.field(
        default=1,
        metadata=_about(
            "Number of batches whose gradients are accumulated before the weights are updated.",
            minimum=1,
        ),
    )
    num_workers: int = attrs.field(
        default=0,
        metadata=_about(
            "Number of processes that load data; 0 loads in the main process.",
            minimum=0,
            maximum=1024,
        ),
    )
    pin_memory: bool = attrs.field(
        default=False,
        metadata=_about(
            "Load data into page-locked memory, which speeds up the transfer to a GPU."
        ),
    )
    persistent_workers: bool = attrs.field(
        default=False,
        metadata=_about("Keep the data-loading processes between epochs; requires --num-workers."),
    )
    prefetch_factor: int | None = attrs.field(
        default=None,
        metadata=_about(
            "Batches that each data-loading process prepares ahead; requires --num-workers.",
            minimum=1,
            maximum=1024,
            none_means="default of PyTorch",
            example=2,
        ),
    )
    learning_rate: float | None = attrs.field(
        default=None,
        metadata=_about(
            "Base learning rate of the optimiser, which the schedule scales.",
            above=0,
            none_means="what the network recommends: 0.002 for unrolled and guided, 0.001 for cnn",
            example=2e-3,
        ),
    )
    scheduler: Scheduler = attrs.field(
        default=Scheduler.DEFAULT,
        converter=as_scheduler,
        metadata=_about(
            "Learning-rate schedule; 'Default' is the schedule recommended for the architecture."
        ),
    )
    enable_progress_bar: bool = attrs.field(
        default=True,
        metadata=_about("Show a progress bar if the output is a terminal."),
    )
    enable_checkpointing: bool = attrs.field(
        default=True,
        metadata=_about(
            "Save checkpoints during training, to resume from and to keep the best model."
        ),
    )
    checkpoint_save_top_k: int = attrs.field(
        default=1,
        metadata=_about("Number of best checkpoints to keep; -1 keeps all, 0 none.", minimum=-1),
    )
    checkpoint_monitor_metric: str = attrs.field(
        default="val_loss",
        metadata=_about(
            "Logged quantity used to select the best checkpoint and for early stopping. "
            "'val_loss' is the validation loss, or the training loss without a validation set."
        ),
    )
    checkpoint_mode: CheckpointMode = attrs.field(
        default="min",
        metadata=_about("Whether the smallest or the largest monitored value is best."),
    )
    early_stop_patience: int = attrs.field(
        default=100,
        metadata=_about(
            "Epochs without improvement of the monitored value after which training stops; it "
            "acts only if smaller than nepochs.",
            minimum=1,
        ),
    )
    logger_backend: LoggerBackend = attrs.field(
        default="csv",
        metadata=_about(
            "Logger for the losses of each epoch; tensorboard and mlflow also take settings and "
            "pictures. mlflow writes to MLFLOW_TRACKING_URI, else to mlflow.db in the output "
            "folder."
        ),
    )
    inference_batch_size: int | None = attrs.field(
        default=None,
        metadata=_about(
            "Groups of patterns per batch of a reconstruction. The object depends on it by "
            "rounding only, unless the network was trained with --joint-stages.",
            minimum=1,
            none_means="chosen for the device",
            example=64,
        ),
    )
    middle_trim: int = attrs.field(
        default=0,
        metadata=_about(
            "Side length, in pixels, of the central square of each patch that is stitched into "
            "the object; 0 uses whole patches.",
            minimum=0,
        ),
    )
    pad_eval: bool = attrs.field(
        default=False,
        metadata=_about(
            "Pad the last batch of a reconstruction to the full size, so that all batches have the "
            "same shape; not available with joint_stages."
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Check all fields and the rules between them."""
        validate(self, _RULES)

    @property
    def device_count(self) -> int:
        """Number of devices on all nodes."""
        return self.devices * self.num_nodes

    def at_rate(self, recommended: float) -> "PyTorchExecutionConfig":
        """Return these settings with a network's learning rate if none was given.

        Parameters
        ----------
        recommended : float
            Learning rate that the network recommends.
        """
        if self.learning_rate is not None:
            return self
        return attrs.evolve(self, learning_rate=recommended)

    def rate(self, recommended: float) -> float:
        """Return the given learning rate, otherwise the one that the network recommends."""
        return recommended if self.learning_rate is None else self.learning_rate

    def monitor(self, *, validated: bool) -> str:
        """Return the name of the monitored loss: that of training if there is no validation.

        Raises
        ------
        InvalidValueError
            If the loss is never logged.
        """
        metric = self.checkpoint_monitor_metric
        losses = ("train_loss", "val_loss") if validated else ("train_loss",)
        if metric == "val_loss" and not validated:
            return "train_loss"
        if metric not in losses:
            rule = f"one of {', '.join(losses)}"
            raise InvalidValueError("checkpoint_monitor_metric", rule, repr(metric))
        return metric
