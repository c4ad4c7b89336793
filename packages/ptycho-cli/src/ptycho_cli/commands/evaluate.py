"""``ptycho evaluate``: compare a reconstruction with a reference."""

import json
from pathlib import Path

import click
from ptycho_core.evaluation import EVALUATION_FILES
from ptycho_core.evaluation import evaluate as evaluate_reconstruction
from ptycho_core.outputs import output_set

from ptycho_cli.console import say
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT, PATH

__all__ = ["evaluate"]


@click.command(cls=Command)
@click.argument("recon", type=INPUT)
@click.argument("reference", type=INPUT)
@section("Output")("-o", "--output-dir", "output", type=PATH, help="Folder for picture and JSON.")
@section("Output")("--overwrite", is_flag=True, help="Replace existing results.")
@section("Output")("--json", "as_json", is_flag=True, help="Print JSON.")
@section("Comparison")(
    "--remove-ramp", is_flag=True, help="Remove a linear phase ramp before comparing."
)
def evaluate(
    recon: Path,
    reference: Path,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    remove_ramp: bool,
) -> None:
    """Compare RECON (a folder or reconstruction.npz) with REFERENCE.

    REFERENCE is a scan with objectGuess or another reconstruction. They are compared over the
    scanned rectangle (the bounding box of the patch centres), after removing a shift and one
    complex factor.
    """
    if output is not None:
        read = [recon, reference]
        output_set(output, None, EVALUATION_FILES, overwrite=overwrite, inputs=read)
    evaluation = evaluate_reconstruction(recon, reference, remove_ramp=remove_ramp)
    if as_json:
        click.echo(json.dumps(evaluation.metrics, indent=2))
    else:
        say(f"{recon} against {reference}")
        say(*evaluation.table().splitlines())
    if output is not None:
        evaluation.save(output, overwrite=overwrite)
