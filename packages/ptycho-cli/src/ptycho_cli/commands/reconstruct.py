"""``ptycho reconstruct``: the iterative solver alone, without any network."""

from pathlib import Path
from typing import Any

import click
import numpy as np
from ptycho_data import Domain, Reconstruction, Scan, load_scan, write_json, write_results
from ptycho_physics import Solution, solve

from ptycho_cli.centring import caution_if_cornered
from ptycho_cli.console import progress
from ptycho_cli.layers import with_probe_file
from ptycho_cli.outputs import output_folder
from ptycho_cli.record import RUN_FILE, Stopwatch, run_record
from ptycho_cli.results import OUTPUT_FILES, reference_metrics, summary
from ptycho_cli.sections import Command, section

__all__ = ["reconstruct", "reconstruction_of", "solve_scan"]

PATH = click.Path(path_type=Path)
INPUT = click.Path(path_type=Path, exists=True)


def solve_scan(
    scan: Scan,
    *,
    epochs: int,
    batch_size: int,
    update_probe: bool,
    relaxation: float = 0.1,
    nphotons: float | None = None,
    seed: int = 0,
) -> Solution:
    """Run the solver on the float32 counts of a scan, with progress.

    Parameters
    ----------
    scan
        The scan.
    epochs, batch_size, update_probe, relaxation, seed
        As :func:`ptycho_physics.solve`.
    nphotons
        Mean photons per pattern where the scan states none; one is as good as any other here,
        the solver works on relative counts.
    """
    with progress(epochs, "solving") as update:
        return solve(
            scan.counts(nphotons=nphotons or 1.0),
            scan.positions,
            scan.probe,
            epochs=epochs,
            batch_size=batch_size,
            update_probe=update_probe,
            relaxation=relaxation,
            mask=scan.bad_pixels,
            seed=seed,
            callback=lambda epoch, r: update(epoch, f"R-factor {r:.4f}"),
        )


def reconstruction_of(solution: Solution, scan: Scan) -> Reconstruction:
    """Put a solution into the form that is saved."""
    local = solution.canvas.local(scan.positions)
    return Reconstruction(
        object=np.asarray(solution.object),
        coverage=np.asarray(solution.coverage),
        xcoords=local[:, 0],
        ycoords=local[:, 1],
        indices=np.arange(scan.n),
        probe=np.asarray(solution.probe),
        origin=np.asarray(solution.canvas.origin),
        pixel_size_m=scan.pixel_size_m,
    )


@click.command(cls=Command)
@click.argument("scan", type=INPUT)
@section("Input and output")(
    "-o", "--output-dir", "output", type=PATH, required=True, help="Folder to write to."
)
@section("Input and output")("--overwrite", is_flag=True, help="Replace existing results.")
@section("Input and output")(
    "--domain",
    type=click.Choice(["counts", "amplitude"]),
    help="What the patterns are, where the file does not say.",
)
@section("Input and output")(
    "--probe-file", type=INPUT, help="NPZ with `probe` or `probeGuess`, instead of the scan's."
)
@section("Solver")(
    "--epochs",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Passes over the scan.",
)
@section("Solver")(
    "--batch-size",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Patterns per update.",
)
@section("Solver")(
    "--relaxation",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=0.1,
    show_default=True,
    help="Damping where the probe is dim: larger is slower and steadier.",
)
@section("Solver")("--update-probe", is_flag=True, help="Refine the probe as well.")
@section("Solver")("--seed", type=int, default=0, show_default=True, help="Order of patterns.")
def reconstruct(
    scan: Path,
    output: Path,
    overwrite: bool,
    domain: Domain | None,
    probe_file: Path | None,
    epochs: int,
    batch_size: int,
    relaxation: float,
    update_probe: bool,
    seed: int,
) -> None:
    r"""Reconstruct SCAN iteratively from a flat object; the same outputs as `ptycho infer`.

    \b
    ptycho reconstruct scan.npz -o result --epochs 50 --update-probe
    """
    clock = Stopwatch()
    folder = output_folder(output, OUTPUT_FILES, overwrite=overwrite)
    settings: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "relaxation": relaxation,
        "update_probe": update_probe,
        "seed": seed,
    }
    with clock.stage("read"):
        data = with_probe_file(load_scan(scan, domain=domain), probe_file)
        caution_if_cornered(data, scan)
    with clock.stage("solve"):
        solution = solve_scan(data, **settings)
    rec = reconstruction_of(solution, data)
    with clock.stage("evaluate"):
        metrics = {"r_factor": solution.r_factors[-1], **reference_metrics(rec, data)}
    metrics["r_factors"] = solution.r_factors
    write_results(
        folder,
        rec,
        metrics=metrics,
        photons=data.nphotons,
        overwrite=overwrite,
        stage=clock.stage,
    )
    rate = data.n / clock.seconds["solve"]
    record = run_record(
        "reconstruct",
        inputs={"scan": scan, **({"probe_file": probe_file} if probe_file else {})},
        clock=clock,
        configuration={**settings, "domain": data.domain},
        backend="numpy",
        patterns=data.n,
        patterns_per_second=rate,
    )
    write_json(folder / RUN_FILE, record, overwrite=overwrite)
    click.echo(summary(folder, metrics, rate, data.n))
