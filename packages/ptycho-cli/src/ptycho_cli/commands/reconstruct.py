"""``ptycho reconstruct``: the iterative solver, without a network."""

from pathlib import Path
from typing import Any

import click
from ptycho_core.cautions import check_scan, report
from ptycho_core.evaluation import reference_metrics
from ptycho_core.half_scans import Indices
from ptycho_core.outputs import output_folder
from ptycho_core.record import RUN_FILE, Stopwatch, run_record
from ptycho_core.solving import SolverResult, solve_scan
from ptycho_data import Domain, Reconstruction, Scan, load_scan, write_json, write_results

from ptycho_cli.console import note
from ptycho_cli.half_scan import CURVE_FILE, half_scan_metrics, resolution_summary
from ptycho_cli.reading import INPUT, domain_option
from ptycho_cli.results import (
    OUTPUT_FILES,
    fail_above_option,
    fail_if_above,
    solver_progress,
    summary,
)
from ptycho_cli.sections import Command, section

__all__ = ["reconstruct"]

PATH = click.Path(path_type=Path)


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
    help="Maximum number of passes over the scan.",
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
    help="Regularisation where the probe is weak; larger is slower but more stable.",
)
@section("Solver")("--update-probe", is_flag=True, help="Refine the probe as well.")
@section("Solver")(
    "--modes",
    type=click.IntRange(min=1),
    help="Number of incoherent probe modes to refine from a single one. Needs `--update-probe`.",
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
    help="Also reconstruct two halves of the patterns and estimate the resolution from them.",
)
@fail_above_option
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
    fail_above: float | None,
) -> None:
    r"""Reconstruct SCAN iteratively from a uniform object; the same outputs as `ptycho infer`.

    The outputs hold the refined probe and positions if these were refined.

    \b
    ptycho reconstruct scan.npz -o result --epochs 50 --update-probe --tolerance 0.001
    """
    if modes is not None and not update_probe:
        msg = f"--modes {modes} needs --update-probe: modes are found by refining the probe"
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
    with clock.stage("check"):
        cautions = check_scan(data)

    def solve(part: Scan, label: str) -> SolverResult:
        with solver_progress(epochs, label) as callback:
            return solve_scan(part, callback=callback, **settings)

    with clock.stage("solve"):
        result = solve(data, "solving")
    rec = result.reconstruction
    with clock.stage("evaluate"):
        metrics = {"r_factor": result.r_factor, **reference_metrics(rec, data)}
    if result.verdict is not None:
        metrics |= result.verdict.metrics
        cautions += report(result.verdict.cautions)
    metrics["r_factors"] = result.r_factors
    metrics["stopped"] = result.stopped
    if refine_positions:
        metrics["positions_moved_rms"] = result.positions_moved_rms
    if with_halves:

        def half(part: Indices) -> Reconstruction:
            return solve(data.select(part), "half of the scan").reconstruction

        with clock.stage("half scans"):
            metrics["half_scan_frc"] = half_scan_metrics(
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
        cautions=[caution.to_dict() for caution in cautions],
    )
    write_json(folder / RUN_FILE, record, overwrite=overwrite)
    plateau = ", stopped at a plateau of the R-factor" if result.stopped == "plateau" else ""
    note(f"solved: {len(result.r_factors)} epochs{plateau}")
    click.echo(summary(folder, metrics, rate, data.n))
    if with_halves:
        click.echo(resolution_summary(metrics["half_scan_frc"]))
    fail_if_above(metrics, fail_above)
