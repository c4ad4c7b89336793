"""Collect the settings of a run from the command line and a configuration file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from ptycho_config import (
    InferenceConfig,
    InvalidValueError,
    Layer,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    TrainingConfig,
    load_config_file,
)
from ptycho_core.ranks import is_first_process

from ptycho_cli.console import current_state
from ptycho_cli.options import given_values

__all__ = [
    "INFERENCE_ONLY",
    "TRAINING_ONLY",
    "first_process_speaks",
    "gather",
    "refusals_as_usage",
]

#: Execution settings that do not apply to a reconstruction, and to training.
TRAINING_ONLY = (
    "persistent_workers",
    "enable_progress_bar",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "accum_steps",
    "learning_rate",
    "scheduler",
    "enable_checkpointing",
    "checkpoint_save_top_k",
    "checkpoint_monitor_metric",
    "checkpoint_mode",
    "early_stop_patience",
    "logger_backend",
)
INFERENCE_ONLY = ("inference_batch_size", "middle_trim", "pad_eval")


def first_process_speaks(processes: int) -> None:
    """Let only the first of several processes print anything but errors."""
    if not is_first_process(processes):
        current_state().verbosity = -2


def gather(
    ctx: click.Context,
    config_class: type[TrainingConfig] | type[InferenceConfig],
    config_file: Path | None,
    fixed: Mapping[str, object],
) -> list[Layer]:
    """Collect the settings that the command line and a configuration file give.

    Parameters
    ----------
    ctx
        Context of the running command.
    config_class
        Class whose fields are options of the command, besides those of model and execution.
    config_file
        Value of ``--config``.
    fixed
        Files given as arguments, and the output folder.
    """
    given = given_values(ctx, config_class, ModelConfig, PyTorchExecutionConfig, RunFiles)
    layers = [Layer("command line", {**given, **fixed})]
    if current_state().verbosity < 0:
        layers.append(Layer("execution", {"enable_progress_bar": False}))
    if config_file is not None:
        layers.append(load_config_file(config_file))
    return layers


@contextmanager
def refusals_as_usage() -> Iterator[None]:
    """Convert an invalid setting, found before any work, to a usage error (exit code 2)."""
    try:
        yield
    except InvalidValueError as error:
        if type(error) is not InvalidValueError:  # for example a damaged file
            raise
        raise click.UsageError(str(error)) from error
