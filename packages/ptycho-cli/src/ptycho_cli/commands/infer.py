"""``ptycho infer``: reconstruct a scan with a trained network."""

from pathlib import Path
from typing import Any

import click
from ptycho_config import (
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    option_specs,
)
from ptycho_core.reconstruction import Extras, ReconstructionRun
from ptycho_core.results import InferenceInterrupted, InferenceResult

from ptycho_cli.console import current_state, progress, say
from ptycho_cli.errors import FAILED
from ptycho_cli.layers import TRAINING_ONLY, first_process_speaks, gather, refusals_as_usage
from ptycho_cli.options import field_options
from ptycho_cli.reading import given_reading, reading_options, scan_index_option
from ptycho_cli.results import fail_above_option, fail_if_above, resolution_summary, summary
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT, PATH, Whole

__all__ = ["infer", "run_inference"]

#: Options that `--help` shows.
BASIC = (
    "output overwrite dry_run refine_steps refine_probe half_scan_frc fail_above n_groups "
    "accelerator backend"
)


#: The bundle decides these; naming the architecture allows the import of its class.
OF_THE_BUNDLE = tuple(s.name for s in option_specs(ModelConfig) if s.name != "architecture")


@field_options(
    InferenceConfig,
    PyTorchExecutionConfig,
    RunFiles,
    ModelConfig,
    skip=(
        *OF_THE_BUNDLE,
        *("train_data_file", "model_path", "test_data_file", "output_dir", "debug"),
        *TRAINING_ONLY,
    ),
    defaults={
        "neighbor_count": "as in training",
        "backend": "the one that trained the bundle",
        "architecture": "that of the bundle",
    },
)
@click.command(cls=Command, basic=BASIC)
@click.argument("bundle", type=INPUT)
@click.argument("scan", type=INPUT)
@section("Input and output")(
    "-o", "--output-dir", "output", type=PATH, required=True, help="Folder to write to."
)
@section("Input and output")(
    "--config",
    "config_file",
    type=INPUT,
    help="Configuration file (TOML, YAML or JSON); options take precedence.",
)
@scan_index_option("Input and output")
@section("Input and output")("--overwrite", is_flag=True, help="Replace existing results.")
@section("Input and output")(
    "--dry-run", is_flag=True, help="Read and check everything, print the memory needed, and stop."
)
@section("Refinement")(
    "--refine",
    "refine_steps",
    type=Whole(0, 1_000_000),
    default=0,
    metavar="STEPS",
    show_default="none",
    help="Refine the object with this many passes of the iterative solver.",
)
@section("Refinement")(
    "--refine-probe", is_flag=True, help="Also refine the probe with the solver."
)
@section("Refinement")(
    "--refine-positions", is_flag=True, help="Also refine the positions with the solver."
)
@section("Refinement")(
    "--half-scan-frc",
    is_flag=True,
    help="Also reconstruct two halves of the patterns and estimate the resolution from them.",
)
@fail_above_option
@reading_options(skip=("--domain", "--companion"))
@click.pass_context
def infer(
    ctx: click.Context,
    /,
    bundle: Path,
    scan: Path,
    output: Path,
    config_file: Path | None,
    scan_index: int | None,
    overwrite: bool,
    dry_run: bool,
    refine_steps: int,
    refine_probe: bool,
    refine_positions: bool,
    half_scan_frc: bool,
    fail_above: float | None,
    **more: Any,
) -> None:
    r"""Reconstruct SCAN with the trained network in BUNDLE (the file, or the folder that holds it).

    Writes reconstruction.npz, product.h5 (for ptychodus), pictures of amplitude and phase,
    metrics.json and run.json. All patterns are used unless a number is given.

    \b
    ptycho infer model scan.npz -o result
    ptycho infer model scan.npz -o result --refine 10 --half-scan-frc
    """
    if (refine_probe or refine_positions) and not refine_steps:
        msg = "--refine-probe and --refine-positions need --refine STEPS"
        raise click.UsageError(msg)
    fixed: dict[str, object] = {"model_path": bundle, "test_data_file": scan, "output_dir": output}
    if current_state().debug:
        fixed["debug"] = True
    extras = Extras(
        refine=refine_steps,
        refine_probe=refine_probe,
        refine_positions=refine_positions,
        half_scan_frc=half_scan_frc,
    )
    run = ReconstructionRun(
        layers=gather(ctx, InferenceConfig, config_file, fixed),
        model=bundle,
        scan=scan,
        output=output,
        reading=given_reading(more),
        scan_index=scan_index,
        extras=extras,
        overwrite=overwrite,
        progress=progress,
    )
    if dry_run:
        with refusals_as_usage():
            run.check()
        say(*run.plan())
        return
    result = run_inference(run)
    if result.main_process:
        fail_if_above(result.metrics, fail_above)


def run_inference(run: ReconstructionRun) -> InferenceResult:
    """Reconstruct, and print a summary on standard output."""
    with refusals_as_usage():
        run.check()
    first_process_speaks(run.processes)
    try:
        result = run.run()
    except InferenceInterrupted as stop:
        _tell(run, stop.result)
        raise
    if not result.main_process:
        return result
    _tell(run, result)
    if run.extras.refine and "r_factor_network" not in result.metrics:
        # The network's results are kept, but a script must notice that they are not refined.
        raise click.exceptions.Exit(FAILED)
    return result


def _tell(run: ReconstructionRun, result: InferenceResult) -> None:
    """Print a summary."""
    patterns = len(result.reconstruction.indices)
    assert result.path is not None  # noqa: S101 - the command always writes
    say(summary(result.path, result.metrics, result.patterns_per_second, patterns))
    if run.extras.half_scan_frc:
        say(resolution_summary(result.metrics["half_scan_frc"]))
