"""``ptycho train``: train a network on one scan or several."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from ptycho_config import (
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    TrainingConfig,
    resolve_training,
)
from ptycho_core.batch import Finished, Job
from ptycho_core.outputs import TRAINING_FILES, output_set
from ptycho_data import MODEL_SET

from ptycho_cli.batch import Batch, json_option
from ptycho_cli.console import say
from ptycho_cli.layers import INFERENCE_ONLY, first_process_speaks, gather, refusals_as_usage
from ptycho_cli.options import field_options
from ptycho_cli.reading import given_reading, reading_options
from ptycho_cli.results import report_option
from ptycho_cli.run_options import (
    config_option,
    dry_run_option,
    output_option,
    overwrite_option,
    show_plan,
)
from ptycho_cli.sections import Command, section
from ptycho_cli.serving import serve_option
from ptycho_cli.values import INPUT, MODEL

if TYPE_CHECKING:  # imports SciPy, which refusing an existing folder does not need
    from ptycho_core.live_page import Address
    from ptycho_core.training.model import TrainedModel
    from ptycho_core.training.run import TrainingRun

__all__ = ["run_training", "train"]

#: Options that `--help` shows.
BASIC = (
    "output config_file overwrite resume dry_run start refine_probe nepochs batch_size n_groups N "
    "gridsize nphotons accelerator backend serve as_json report"
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
@output_option
@config_option
@overwrite_option
@section("Input and output")(
    "--resume", is_flag=True, help="Resume from the last checkpoint in the output folder."
)
@dry_run_option
@section("Input and output")(
    "--from",
    "start",
    type=MODEL,
    metavar="MODEL",
    help="Start from the weights of a trained model of the same network: its file, its folder, or "
    "the name of an installed one; with 5 epochs and a quarter of the learning rate unless told "
    "otherwise.",
)
@reading_options(skip=("--domain", "--companion"))
@section("Training")(
    "--refine-probe",
    is_flag=True,
    help="First refine the probe of each scan with the solver; train and infer with the result.",
)
@serve_option
@report_option
@json_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    scans: tuple[Path, ...],
    output: Path,
    config_file: Path | None,
    overwrite: bool,
    resume: bool,
    start: Path | None,
    refine_probe: bool,
    dry_run: bool,
    serve: "Address | None",
    report: bool,
    as_json: bool,
    **more: Any,
) -> None:
    r"""Train a network on one SCAN or several; no ground truth is needed.

    Several scans must have patterns of one size; each keeps its own probe, positions, bad pixels
    and dose, and sampling settings such as --n-groups hold for each.

    Writes wts.h5.zip (the model), report.html, metrics.json and run.json. A setting is taken from
    the command line, else from --config, else from the data (N, nphotons), else from its default.

    \b
    ptycho train scan.npz -o model
    ptycho train scan.npz -o model --gridsize 2 --nepochs 20 --n-groups 512
    ptycho train monday.npz tuesday.npz -o model
    ptycho train scan.npz -o model --refine-probe
    ptycho train tuesday.npz -o tuned --from model
    ptycho train scan.npz -o model --serve
    """
    fixed = {"train_data_file": scans[0], "output_dir": output}
    layers = gather(ctx, TrainingConfig, config_file, fixed)
    with refusals_as_usage():
        output_set(
            output,
            MODEL_SET,
            TRAINING_FILES,
            overwrite=overwrite or resume,
            inputs=[*scans, config_file, start],
            processes=resolve_training(layers).execution.device_count,
        )

    from ptycho_core.training.run import TrainingRun

    run = TrainingRun(
        layers=layers,
        scans=scans,
        output=output,
        reading=given_reading(more),
        start=start,
        refine_probe=refine_probe,
        resume=resume,
        report=report,
        overwrite=overwrite,
    )
    if dry_run:
        show_plan(run)
        return
    job = Job(name=output.name, inputs=scans, output=output)
    batch = Batch(jobs=[job], as_json=as_json)

    def work(job: Job) -> Finished:
        model = _trained(run, serve)
        if model.main_process:
            batch.tell(job, _summary(run, model))
        last = {name: losses[-1] for name, losses in model.history.items() if losses}
        metrics = {**last, "epochs": model.epochs, "kept": model.kept, "stopped": model.stopped}
        return Finished(metrics=metrics, main_process=model.main_process)

    batch.run(work)


def _trained(run: "TrainingRun", serve: "Address | None" = None) -> "TrainedModel":
    from ptycho_core.live_page import live_page
    from ptycho_core.ranks import is_first_process

    with refusals_as_usage():
        run.check()
    first_process_speaks(run.processes)
    with live_page(serve if is_first_process(run.processes) else None) as page:
        return run.on(page).run()


def _summary(run: "TrainingRun", model: "TrainedModel") -> str:
    seconds = run.clock.seconds["train"]
    early = model.stopped == "plateau"
    left = "ended before by early stopping" if early else "all epochs already done"
    done = f"trained in {seconds:.1f} s" if model.written else left
    end = ", early stopping" if early and model.written else ""
    return f"{model.path}: {done}, kept {model.kept}{end}"


def run_training(run: "TrainingRun") -> None:
    """Train, and print a summary on standard output."""
    model = _trained(run)
    if model.main_process:
        say(_summary(run, model))
