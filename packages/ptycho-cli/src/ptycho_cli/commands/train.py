"""``ptycho train``: train a network on one scan or several."""

from pathlib import Path
from typing import Any

import click
from ptycho_config import ModelConfig, PyTorchExecutionConfig, RunFiles, TrainingConfig
from ptycho_core.training import TrainedModel, TrainingRun

from ptycho_cli.console import say
from ptycho_cli.layers import INFERENCE_ONLY, first_process_speaks, gather, refusals_as_usage
from ptycho_cli.options import field_options
from ptycho_cli.reading import given_reading, reading_options
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT, PATH

__all__ = ["run_training", "train"]

#: Options that `--help` shows.
BASIC = (
    "output config_file overwrite resume dry_run refine_probe nepochs batch_size n_groups N "
    "gridsize nphotons accelerator backend"
)


@field_options(
    TrainingConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    skip=("train_data_file", "model_path", "output_dir", *INFERENCE_ONLY),
)
@click.command(cls=Command, basic=BASIC)
@click.argument("scans", metavar="SCAN...", type=INPUT, nargs=-1, required=True)
@section("Input and output")(
    "-o", "--output-dir", "output", type=PATH, required=True, help="Folder to write to."
)
@section("Input and output")(
    "--config",
    "config_file",
    type=INPUT,
    help="Configuration file (TOML, YAML or JSON); options take precedence.",
)
@section("Input and output")("--overwrite", is_flag=True, help="Replace existing results.")
@section("Input and output")(
    "--resume", is_flag=True, help="Resume from the last checkpoint in the output folder."
)
@section("Input and output")(
    "--dry-run", is_flag=True, help="Read and check everything, print the memory needed, and stop."
)
@reading_options(skip=("--domain", "--companion"))
@section("Training")(
    "--refine-probe",
    is_flag=True,
    help="First refine the probe of each scan with the solver; train and infer with the result.",
)
@click.pass_context
def train(
    ctx: click.Context,
    /,
    scans: tuple[Path, ...],
    output: Path,
    config_file: Path | None,
    overwrite: bool,
    resume: bool,
    refine_probe: bool,
    dry_run: bool,
    **more: Any,
) -> None:
    r"""Train a network on one SCAN or several; no ground truth is needed.

    Several scans must have patterns of one size; each keeps its own probe, positions, bad pixels
    and dose, and sampling settings such as --n-groups hold for each.

    Writes wts.h5.zip (the model), metrics.json and run.json. A setting is taken from the command
    line, else from --config, else from the data (N, nphotons), else from its default.

    \b
    ptycho train scan.npz -o model
    ptycho train scan.npz -o model --gridsize 2 --nepochs 20 --n-groups 512
    ptycho train monday.npz tuesday.npz -o model
    ptycho train scan.npz -o model --refine-probe
    """
    fixed = {"train_data_file": scans[0], "output_dir": output}
    layers = gather(ctx, TrainingConfig, config_file, fixed)
    run = TrainingRun(
        layers=layers,
        scans=scans,
        output=output,
        reading=given_reading(more),
        refine_probe=refine_probe,
        resume=resume,
        overwrite=overwrite,
    )
    if dry_run:
        with refusals_as_usage():
            run.check()
        say(*run.plan())
    else:
        run_training(run)


def run_training(run: TrainingRun) -> TrainedModel:
    """Train, and print a summary on standard output."""
    with refusals_as_usage():
        run.check()
    first_process_speaks(run.processes)
    model = run.run()
    if model.main_process:
        seconds = run.clock.seconds["train"]
        done = f"trained in {seconds:.1f} s" if model.written else "all epochs already done"
        end = "; early stopping" if model.stopped == "plateau" else ""
        say(f"{model.path}: {done}, kept {model.kept}{end}")
    return model
