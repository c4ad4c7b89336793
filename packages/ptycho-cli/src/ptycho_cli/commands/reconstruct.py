"""``ptycho reconstruct``: the iterative solver alone, without any network."""

from pathlib import Path
from typing import Any

import click
import numpy as np
from ptycho_data import Domain, Reconstruction, Scan, load_scan, write_json, write_results
from ptycho_physics import Solution, solve

from ptycho_cli.centring import caution_if_cornered
from ptycho_cli.console import note, progress
from ptycho_cli.half_scan import CURVE_FILE, Indices, half_scan_frc, said
from ptycho_cli.outputs import output_folder
from ptycho_cli.reading import INPUT, domain_option
from ptycho_cli.record import RUN_FILE, Stopwatch, run_record
from ptycho_cli.results import OUTPUT_FILES, reference_metrics, summary
from ptycho_cli.sections import Command, section

__all__ = ["reconstruct", "reconstruction_of", "solve_scan"]

PATH = click.Path(path_type=Path)


def solve_scan(
    scan: Scan,
    *,
    epochs: int,
    nphotons: float | None = None,
    **settings: Any,
) -> Solution:
    """Run the solver on the float32 counts of a scan, with progress.

    Parameters
    ----------
    scan
        The scan.
    epochs, **settings
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
            mask=scan.bad_pixels,
            **settings,
            callback=lambda epoch, r: update(epoch, f"R-factor {r:.4f}"),
        )


def reconstruction_of(solution: Solution, scan: Scan) -> Reconstruction:
    """Put a solution into the form that is saved."""
    local = solution.canvas.local(solution.positions)
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
@domain_option("Input and output")
@section("Input and output")(
    "--probe-file", type=INPUT, help="NPZ with `probe` or `probeGuess`, instead of the scan's."
)
@section("Solver")(
    "--epochs",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Most passes over the scan.",
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
@section("Solver")(
    "--modes",
    type=click.IntRange(min=1),
    help="Incoherent probe modes to refine, where the probe has one. Needs `--update-probe`.",
)
@section("Solver")(
    "--refine-positions", is_flag=True, help="Refine the positions as well, from epoch 6 on."
)
@section("Solver")(
    "--tolerance",
    type=click.FloatRange(min=0, max=1),
    help="Stop when the R-factor falls by less than this fraction in three epochs.",
)
@section("Solver")("--seed", type=int, default=0, show_default=True, help="Order of patterns.")
@section("Solver")(
    "--half-scan-frc",
    "with_halves",
    is_flag=True,
    help="Reconstruct two halves of the patterns as well, and tell the resolution from them.",
)
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
    modes: int | None,
    refine_positions: bool,
    tolerance: float | None,
    seed: int,
    with_halves: bool,
) -> None:
    r"""Reconstruct SCAN iteratively from a flat object; the same outputs as `ptycho infer`.

    Probe and positions in the outputs are the refined ones, where that was asked for.

    \b
    ptycho reconstruct scan.npz -o result --epochs 50 --update-probe --tolerance 0.001
    """
    if modes is not None and not update_probe:
        msg = f"--modes {modes} are found by refining the probe; give --update-probe as well"
        raise click.UsageError(msg)
    clock = Stopwatch()
    files = (*OUTPUT_FILES, CURVE_FILE) if with_halves else OUTPUT_FILES
    folder = output_folder(output, files, overwrite=overwrite)
    settings: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "relaxation": relaxation,
        "update_probe": update_probe,
        "modes": modes,
        "refine_positions": refine_positions,
        "tolerance": tolerance,
        "seed": seed,
    }
    with clock.stage("read"):
        data = load_scan(scan, domain=domain, probe_file=probe_file)
        caution_if_cornered(data, scan)
    with clock.stage("solve"):
        solution = solve_scan(data, **settings)
    rec = reconstruction_of(solution, data)
    with clock.stage("evaluate"):
        metrics = {"r_factor": solution.r_factors[-1], **reference_metrics(rec, data)}
    metrics["r_factors"] = solution.r_factors
    metrics["stopped"] = solution.stopped
    if refine_positions:
        moved = solution.positions - data.positions
        metrics["positions_moved_rms"] = float(np.sqrt(np.mean(moved**2)))
    if with_halves:

        def half(part: Indices) -> Reconstruction:
            some = data.select(part)
            return reconstruction_of(solve_scan(some, **settings), some)

        with clock.stage("half scans"):
            metrics["half_scan_frc"] = half_scan_frc(
                data.positions, half, folder, remove_ramp=update_probe, overwrite=overwrite
            )
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
    done = f"{len(solution.r_factors)} epochs"
    if solution.stopped == "plateau":
        done += ", then the R-factor fell no more"
    note(f"solved: {done}")
    click.echo(summary(folder, metrics, rate, data.n))
    if with_halves:
        click.echo(said(metrics["half_scan_frc"]))
