"""``ptycho evaluate``: compare a reconstruction with a reference."""

import json
from pathlib import Path
from typing import Any

import click
from attrs import evolve
from ptycho_core.analysis.evaluation import EVALUATION_FILES, evaluated_metrics, is_evaluated
from ptycho_core.analysis.evaluation import evaluate as evaluate_reconstruction
from ptycho_core.batch import Finished, Job, Request
from ptycho_core.outputs import output_set

from ptycho_cli.batch import Batch, batch_options, metric
from ptycho_cli.console import say
from ptycho_cli.results import report_option
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT, PATH, SCAN

__all__ = ["evaluate"]

#: Columns of the table.
COLUMNS = {
    "correlation": metric("correlation"),
    "phase PSNR": metric("phase_psnr"),
    "phase SSIM": metric("phase_ssim"),
}


@click.command(cls=Command)
@click.argument("recons", metavar="RECON...", type=SCAN, nargs=-1, required=True)
@click.argument("reference", type=INPUT)
@section("Output")("-o", "--output-dir", "output", type=PATH, help="Folder for the files.")
@section("Output")("--overwrite", is_flag=True, help="Replace existing results.")
@section("Comparison")(
    "--remove-ramp", is_flag=True, help="Remove a linear phase ramp before comparing."
)
@report_option
@batch_options
def evaluate(
    recons: tuple[Path, ...],
    reference: Path,
    output: Path | None,
    overwrite: bool,
    remove_ramp: bool,
    report: bool,
    **more: Any,
) -> None:
    r"""Compare each RECON (a folder or reconstruction.npz) with REFERENCE.

    REFERENCE is a scan with objectGuess or another reconstruction. They are compared over the
    scanned rectangle (the bounding box of the patch centres), after removing a shift and one
    complex factor. Of several RECON, each gets a folder of its own in the output folder.

    \b
    ptycho evaluate result scan.npz -o score
    ptycho evaluate 'results/*' truth.npz -o scores
    """
    if output is None and more["skip_done"]:
        msg = "--skip-done needs -o, the folder to look in"
        raise click.UsageError(msg)
    batch = Batch.of(recons, output or Path(), more)
    batch = evolve(batch, as_json=False) if batch.single else batch  # it prints its own JSON

    def check(job: Job) -> None:
        if output is not None:
            read = [*job.inputs, reference]
            output_set(job.output, None, EVALUATION_FILES, overwrite=overwrite, inputs=read)

    def request(job: Job) -> Request:
        inputs = {"reconstruction": job.scan, "reference": reference}
        settings = {"remove_ramp": True} if remove_ramp else {}
        return Request(command="evaluate", inputs=inputs, settings=settings)

    def work(job: Job) -> Finished:
        check(job)
        run = None if output is None else request(job).record()
        evaluation = evaluate_reconstruction(job.scan, reference, remove_ramp=remove_ramp)
        if batch.single and more["as_json"]:
            click.echo(json.dumps(evaluation.metrics, indent=2))
        elif batch.single:
            say(f"{job.scan} against {reference}")
            say(*evaluation.table().splitlines())
        if output is not None:
            evaluation.save(job.output, overwrite=overwrite, run=run, report=report)
        return Finished(metrics=evaluation.metrics)

    def done(job: Job) -> Finished | None:
        there = is_evaluated(job.output, request(job), overwrite=overwrite)
        return Finished(metrics=evaluated_metrics(job.output)) if there else None

    batch.check(check)
    batch.run(
        work,
        done=done,
        columns=COLUMNS,
    )
