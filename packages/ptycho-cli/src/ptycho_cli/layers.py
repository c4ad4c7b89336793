"""Collect the settings of a run from the command line and a configuration file."""

import os
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

from ptycho_cli.console import current_state
from ptycho_cli.options import given_values

__all__ = ["INFERENCE_ONLY", "TRAINING_ONLY", "gather", "refusals_as_usage", "silence_other_ranks"]

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


def silence_other_ranks() -> None:
    """Log on rank 0 only.

    Lightning starts the other processes with the same command line, and numbers them.
    """
    names = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
    number = next((os.environ[name] for name in names if os.environ.get(name)), "0")
    if number != "0":
        current_state().verbosity = -1


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
    silence_other_ranks()
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
