"""``ptycho infer``: reconstruct a scan with a trained network."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from ptycho_config import (
    InferenceConfig,
    Layer,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    option_specs,
    resolve_inference,
)
from ptycho_core.batch import Finished, Job, finished_before
from ptycho_core.exit_codes import FAILED
from ptycho_core.outputs import check_result_folder
from ptycho_core.results import InferenceInterrupted, InferenceResult

from ptycho_cli.batch import Batch, batch_options, finished
from ptycho_cli.console import current_state, say
from ptycho_cli.layers import TRAINING_ONLY, first_process_speaks, gather, refusals_as_usage
from ptycho_cli.model_argument import model_and_scans
from ptycho_cli.options import field_options
from ptycho_cli.reading import (
    first_probe_option,
    given_reading,
    reading_options,
    scan_index_option,
)
from ptycho_cli.results import (
    fail_above_option,
    pictures_option,
    report_option,
    resolution_summary,
    summary,
    tiff_option,
    uncertainty_option,
    uncertainty_summary,
    unwrap_option,
)
from ptycho_cli.run_options import (
    config_option,
    dry_run_option,
    output_option,
    overwrite_option,
    show_plan,
)
from ptycho_cli.sections import Command, section
from ptycho_cli.values import MODEL_OR_INPUT, SCAN, Whole

if TYPE_CHECKING:  # imports SciPy, which refusing an existing folder does not need
    from ptycho_core.reconstruction.run import ReconstructionRun

__all__ = ["infer", "run_inference"]

#: Options that `--help` shows.
BASIC = (
    "output overwrite dry_run first_probe refine_steps refine_probe half_scan_frc uncertainty "
    "fail_above n_groups name skip_done keep_going as_json pictures report "
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
@click.argument("bundle", metavar="[MODEL]", type=MODEL_OR_INPUT, required=False)
@click.argument("scans", metavar="SCAN...", type=SCAN, nargs=-1)
@output_option
@config_option
@scan_index_option("Input and output")
@first_probe_option("Input and output")
@overwrite_option
@dry_run_option
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
    "--refine-probe",
    is_flag=True,
    help="Refine the probe with the solver: together with the object if --refine is given, "
    "otherwise before the network, which then uses it.",
)
@section("Refinement")(
    "--refine-positions", is_flag=True, help="Also refine the positions with the solver."
)
@section("Refinement")(
    "--half-scan-frc",
    is_flag=True,
    help="Also reconstruct two halves of the patterns and estimate the resolution from them.",
)
@uncertainty_option("Refinement")
@pictures_option
@report_option
@tiff_option
@unwrap_option
@fail_above_option
@batch_options
@reading_options(skip=("--domain", "--companion"))
@click.pass_context
def infer(
    ctx: click.Context,
    /,
    bundle: Path | None,
    scans: tuple[Path, ...],
    output: Path,
    config_file: Path | None,
    scan_index: int | None,
    first_probe: str | None,
    overwrite: bool,
    dry_run: bool,
    refine_steps: int,
    refine_probe: bool,
    refine_positions: bool,
    half_scan_frc: bool,
    uncertainty: bool,
    pictures: bool,
    report: bool,
    tiff: bool,
    unwrap: bool,
    fail_above: float | None,
    **more: Any,
) -> None:
    r"""Reconstruct each SCAN with the trained network MODEL: its file, its folder or its name.

    Without MODEL, the installed model `universal` is taken. A file or folder of that name takes
    precedence.

    Writes reconstruction.npz, product.h5 (for ptychodus), pictures of amplitude and phase,
    report.html, metrics.json and run.json. All patterns are used unless a number is given. One SCAN
    is written to the output folder itself; of several, or of a pattern, each gets a folder of its
    own in it.

    \b
    ptycho infer model scan.npz -o result
    ptycho infer scan.npz -o result
    ptycho infer scan.npz -o result --first-probe auto
    ptycho infer scan.npz -o result --refine-probe
    ptycho infer model scan.npz -o result --refine 10 --half-scan-frc
    ptycho infer model 'scans/*.npz' -o results --skip-done --keep-going
    """
    if refine_positions and not refine_steps:
        msg = "--refine-positions needs --refine STEPS"
        raise click.UsageError(msg)
    model, scans = model_and_scans(bundle, scans)
    batch = Batch.of(scans, output, more)
    fixed: dict[str, object] = {"model_path": model}
    if current_state().debug:
        fixed["debug"] = True
    layers = gather(ctx, InferenceConfig, config_file, fixed)
    processes = resolve_inference(layers).execution.device_count

    def check(job: Job) -> None:
        check_result_folder(
            job.output,
            curve=half_scan_frc,
            uncertainty=uncertainty,
            tiff=tiff,
            overwrite=overwrite,
            inputs=[model, config_file, *job.inputs],
            processes=processes,
        )

    batch.check(check)

    from ptycho_core.models import OpenedModel
    from ptycho_core.reconstruction.run import ReconstructionRun
    from ptycho_core.reconstruction.work import Extras
    from ptycho_core.run_settings import log_settings

    @cache
    def opened() -> OpenedModel:
        return OpenedModel.read(model)

    def run_of(job: Job) -> ReconstructionRun:
        files = {"test_data_file": job.scan, "output_dir": job.output}
        return ReconstructionRun(
            layers=[*layers, Layer("command line", files)],
            model=model if batch.single else opened(),
            scan=job.scan,
            output=job.output,
            reading=given_reading(more),
            scan_index=scan_index,
            first_probe=first_probe,
            extras=Extras(
                refine=refine_steps,
                refine_probe=refine_probe,
                refine_positions=refine_positions,
                half_scan_frc=half_scan_frc,
                uncertainty=uncertainty,
            ),
            pictures=pictures,
            report=report,
            tiff=tiff,
            unwrap=unwrap,
            overwrite=overwrite or batch.skip_done,  # what is there and not done is unfinished
            progress=batch.progress(job),
        )

    @cache
    def check_settings() -> None:
        with refusals_as_usage():
            run = run_of(batch.jobs[0])
            run.check_settings()
        if not batch.single:
            log_settings(run.resolved)

    def work(job: Job) -> Finished:
        run = run_of(job)
        with batch.refusals():
            run.check_output()
        check_settings()
        first_process_speaks(run.processes)
        try:
            result = run.run()
        except InferenceInterrupted as stop:
            batch.tell(job, *_summaries(run, stop.result))
            raise
        if result.main_process:
            batch.tell(job, *_summaries(run, result))
        return finished(result, refine_steps)

    def done(job: Job) -> Finished | None:
        return finished_before(job.output, run_of(job).request(), overwrite=overwrite)

    if dry_run:
        for job in batch.jobs:
            show_plan(run_of(job))
        return
    batch.run(work, done=done, fail_above=fail_above)


def _summaries(run: "ReconstructionRun", result: InferenceResult) -> list[str]:
    assert result.path is not None  # noqa: S101 - the command always writes
    patterns = len(result.reconstruction.indices)
    lines = [summary(result.path, result.metrics, result.patterns_per_second, patterns)]
    if run.extras.half_scan_frc:
        lines.append(resolution_summary(result.metrics["half_scan_frc"]))
    if run.extras.uncertainty:
        lines.append(uncertainty_summary(result.metrics["uncertainty"]))
    return lines


def run_inference(run: "ReconstructionRun") -> None:
    """Reconstruct, and print a summary on standard output."""
    with refusals_as_usage():
        run.check()
    first_process_speaks(run.processes)
    try:
        result = run.run()
    except InferenceInterrupted as stop:
        say(*_summaries(run, stop.result))
        raise
    if result.main_process:
        say(*_summaries(run, result))
    if finished(result, run.extras.refine).problem:  # a script must notice
        raise click.exceptions.Exit(FAILED)
