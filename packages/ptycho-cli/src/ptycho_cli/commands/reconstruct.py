"""``ptycho reconstruct``: the iterative solver, without a network."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from ptycho_core.batch import Finished, Job, finished_before
from ptycho_core.outputs import CHECKPOINT_FILE, check_result_folder, refuse_checkpoint
from ptycho_core.ranks import is_first_process
from ptycho_core.solving.devices import ACCELERATORS, Devices
from ptycho_data import Domain

from ptycho_cli.batch import Batch, batch_options, finished
from ptycho_cli.console import note, say
from ptycho_cli.layers import first_process_speaks, refusals_as_usage
from ptycho_cli.reading import first_probe_option, given_reading, reading_options, scan_index_option
from ptycho_cli.results import (
    fail_above_option,
    held_out_summary,
    pictures_option,
    report_option,
    resolution_summary,
    summary,
    tiff_option,
    uncertainty_option,
    uncertainty_summary,
    unwrap_option,
)
from ptycho_cli.run_options import dry_run_option, output_option, overwrite_option
from ptycho_cli.sections import Command, section
from ptycho_cli.serving import serve_option
from ptycho_cli.values import INPUT, MODEL, SCAN, SEED, Number, Whole

if TYPE_CHECKING:  # imports SciPy, which refusing an existing folder does not need
    from ptycho_core.live_page import Address
    from ptycho_core.solving.results import SolverResult

__all__ = ["reconstruct"]

#: Options that `--help` shows.
BASIC = (
    "output overwrite resume dry_run first_probe start "
    "epochs auto update_probe modes refine_positions accelerator fail_above "
    "uncertainty name skip_done keep_going serve as_json pictures"
)


@click.command(cls=Command, basic=BASIC)
@click.argument("scans", metavar="SCAN...", type=SCAN, nargs=-1, required=True)
@output_option
@overwrite_option
@section("Input and output")(
    "--resume",
    is_flag=True,
    help="Continue an interrupted reconstruction in the output folder, with the same bits.",
)
@dry_run_option
@reading_options("Input and output")
@scan_index_option("Input and output")
@section("Input and output")(
    "--probe-file", type=INPUT, help="NPZ with `probe` or `probeGuess`, instead of the scan's."
)
@first_probe_option("Input and output")
@section("Input and output")(
    "--from",
    "start",
    type=MODEL,
    metavar="RESULT|MODEL",
    help="Start from the object, probe and positions of a result (folder, reconstruction.npz, "
    "product.h5), or from what a trained model makes of the scan (file, folder or name), instead "
    "of from a uniform object.",
)
@section("Solver")(
    "--epochs",
    type=Whole(1, 1_000_000),
    default=20,
    show_default=True,
    help="Maximum number of passes over the scan.",
)
@section("Solver")(
    "--auto",
    is_flag=True,
    help="Decide in short runs, by patterns that are not used, what to refine: probe, light, "
    "background, positions, modes and others. Options that are given stay on.",
)
@section("Solver")(
    "--max-time",
    type=Number(above=0, maximum=1e6),
    metavar="MINUTES",
    help="End after this time with what there is, to be continued with --resume.",
)
@section("Solver")(
    "--accelerator",
    type=click.Choice(ACCELERATORS),
    default="auto",
    show_default=True,
    help="Solve with NumPy, or with PyTorch on a device; auto takes a GPU if it is worth it.",
)
@section("Solver")(
    "--devices",
    type=Whole(1, 1024),
    default=1,
    show_default=True,
    help="Number of devices per node that share the patterns; each has a process, and PyTorch.",
)
@section("Solver")(
    "--num-nodes", type=Whole(1, 1024), default=1, show_default=True, help="Number of nodes."
)
@section("Solver")(
    "--batch-size",
    type=Whole(1),
    default=16,
    show_default=True,
    help="Patterns per update, of all devices together.",
)
@section("Solver")(
    "--relaxation",
    type=Number(above=0, maximum=1),
    help="Regularisation where the probe is weak; larger is slower but more stable. "
    "By default 0.1, and up to 0.5 where photons are few.",
)
@section("Solver")(
    "--momentum",
    type=Number(0, below=1),
    default=0.0,
    show_default=True,
    help="Share of the last steps that object and probe go on with: 0.9 takes fewer epochs, above "
    "all where the phase of the object is strong.",
)
@section("Solver")(
    "--average/--no-average",
    default=None,
    help="Whether the result is the mean of the object over the last epochs, which has less noise. "
    "By default where photons are few.",
)
@section("Solver")("--update-probe", is_flag=True, help="Refine the probe as well.")
@section("Solver")(
    "--modes",
    type=Whole(1, 64),
    help="Number of incoherent probe modes to refine from a single one. Needs `--update-probe`.",
)
@section("Solver")(
    "--refine-positions", is_flag=True, help="Refine the positions as well, from epoch 6 on."
)
@section("Solver")(
    "--refine-affine",
    is_flag=True,
    help="Refine scale, rotation and shear of all positions.",
)
@section("Solver")(
    "--refine-backlash",
    is_flag=True,
    help="Refine the shift of the positions between there and back: the play of a stage, or a "
    "delay of the exposures.",
)
@section("Solver")(
    "--position-smoothness",
    type=Number(0, 1e6),
    metavar="PATTERNS",
    help="Average corrections of single positions over so many patterns along the scan. Needs "
    "`--refine-positions`.",
)
@section("Solver")(
    "--probe-variation",
    type=Whole(1, 64),
    metavar="K",
    help="Let the probe vary over the scan, by K modes. Needs `--update-probe`.",
)
@section("Solver")(
    "--probe-support",
    type=Number(above=0, maximum=1e4),
    metavar="RADIUS",
    help="Expect the probe within so many pixels of its centre: where photons are few, their noise "
    "outside is damped. Needs `--update-probe`.",
)
@section("Solver")(
    "--refine-light", is_flag=True, help="Fit the intensity of the beam in each pattern as well."
)
@section("Solver")(
    "--background",
    type=click.Choice(("constant", "scaled")),
    help="Fit counts that came without light: the same in each pattern (constant), or times a "
    "factor for each pattern (scaled).",
)
@section("Solver")(
    "--saturation",
    type=Number(above=0),
    metavar="COUNTS",
    help="Counts from which a pixel is saturated: there were at least as many.",
)
@section("Solver")(
    "--held-out",
    type=Number(0, 0.5),
    default=0.0,
    show_default=True,
    help="Share of the patterns that are not used, to stop when they are predicted no better.",
)
@section("Solver")(
    "--tolerance",
    type=Number(0, 1),
    help="Stop when the R-factor falls by less than this fraction in three epochs.",
)
@section("Optics")(
    "--fly-scan",
    type=Number(above=0, maximum=1),
    metavar="SHARE",
    help="The stage does not stop: the beam is smeared along the path through the positions, in "
    "this share of the time from pattern to pattern, in which the detector counts.",
)
@section("Optics")(
    "--exposure-path",
    type=Number(-1e4, 1e4),
    nargs=2,
    metavar="X Y",
    help="Fly scan: how far the sample moves during each exposure, in pixels of the object, "
    "instead of what the positions tell.",
)
@section("Optics")(
    "--detector-sampling",
    type=Whole(1, 8),
    metavar="S",
    help="Pixels of the waves along a side of one of a detector that is too coarse for the beam, "
    "which is wider than the patches. Probe and patches are S times larger.",
)
@section("Optics")(
    "--near-field",
    is_flag=True,
    help="The detector is in the near field: patterns are images. Energy, distance and detector "
    "pixel of the scan tell how far.",
)
@section("Optics")(
    "--source-distance-m",
    type=Number(above=0, maximum=1e6),
    help="Near field of a beam that diverges: distance from its focus to the sample in metres.",
)
@section("Optics")(
    "--fresnel-number",
    type=Number(above=0, maximum=1e6),
    help="Near field: the Fresnel number of a pixel, pixel^2 / (wavelength distance), instead of "
    "what the scan tells.",
)
@section("Optics")(
    "--slices",
    type=Whole(1, 256),
    help="Cut a thick sample into slices. Needs `--slice-thickness-m`.",
)
@section("Optics")(
    "--slice-thickness-m",
    type=Number(above=0, maximum=1),
    help="Distance from slice to slice in metres.",
)
@section("Optics")(
    "--slice-coupling",
    type=Number(0, 1e6),
    help="Damp differences between slices that no pattern tells; 1 where slices are closer than "
    "the depth of focus.",
)
@section("Optics")(
    "--tilt-mrad",
    type=Number(-785, 785),
    nargs=2,
    metavar="X Y",
    help="Angle between the beam and the normal of the slices.",
)
@section("Solver")("--seed", type=SEED, default=0, show_default=True, help="Order of patterns.")
@section("Solver")(
    "--half-scan-frc",
    is_flag=True,
    help="Also reconstruct two halves of the patterns and estimate the resolution from them.",
)
@uncertainty_option("Solver")
@pictures_option
@report_option
@tiff_option
@unwrap_option
@fail_above_option
@serve_option
@batch_options
def reconstruct(
    scans: tuple[Path, ...],
    output: Path,
    overwrite: bool,
    resume: bool,
    domain: Domain | None,
    companion: Path | None,
    scan_index: int | None,
    probe_file: Path | None,
    first_probe: str | None,
    start: Path | None,
    epochs: int,
    auto: bool,
    max_time: float | None,
    accelerator: str,
    devices: int,
    num_nodes: int,
    batch_size: int,
    relaxation: float | None,
    momentum: float,
    average: bool | None,
    update_probe: bool,
    modes: int | None,
    refine_positions: bool,
    refine_affine: bool,
    refine_backlash: bool,
    position_smoothness: float | None,
    probe_variation: int | None,
    probe_support: float | None,
    refine_light: bool,
    background: str | None,
    saturation: float | None,
    held_out: float,
    tolerance: float | None,
    fly_scan: float | None,
    exposure_path: tuple[float, float] | None,
    detector_sampling: int | None,
    near_field: bool,
    source_distance_m: float | None,
    fresnel_number: float | None,
    slices: int | None,
    slice_thickness_m: float | None,
    slice_coupling: float | None,
    tilt_mrad: tuple[float, float] | None,
    seed: int,
    half_scan_frc: bool,
    uncertainty: bool,
    pictures: bool,
    report: bool,
    tiff: bool,
    unwrap: bool,
    fail_above: float | None,
    dry_run: bool,
    serve: "Address | None",
    **more: Any,
) -> None:
    r"""Reconstruct each SCAN iteratively, without a network; the same outputs as `ptycho infer`.

    The outputs hold the refined probe and positions if these were refined. One SCAN is written to
    the output folder itself; of several, or of a pattern, each gets a folder of its own in it.

    \b
    ptycho reconstruct scan.npz -o result --epochs 50 --update-probe --tolerance 0.001
    ptycho reconstruct scan.npz -o result --auto
    ptycho reconstruct scan.npz -o result --first-probe auto --update-probe
    ptycho reconstruct scan.npz -o result --epochs 50 --update-probe --resume
    ptycho reconstruct scan.npz -o result --epochs 200 --serve
    ptycho reconstruct fly.npz -o result --fly-scan 0.9 --update-probe
    ptycho reconstruct image.npz -o result --near-field --update-probe
    ptycho reconstruct thick.npz -o result --slices 2 --slice-thickness-m 2e-5
    ptycho reconstruct scan.npz -o better --from result --refine-positions
    ptycho reconstruct 'scans/*.npz' -o results --update-probe --skip-done --keep-going
    """
    if modes is not None and not update_probe:
        msg = f"--modes {modes} needs --update-probe: modes are found by refining the probe"
        raise click.UsageError(msg)
    if probe_variation is not None and not update_probe:
        msg = f"--probe-variation {probe_variation} needs --update-probe"
        raise click.UsageError(msg)
    if probe_support is not None and not update_probe:
        msg = f"--probe-support {probe_support:g} needs --update-probe"
        raise click.UsageError(msg)
    if near_field and fresnel_number is not None:
        msg = "--fresnel-number replaces --near-field: give one of them"
        raise click.UsageError(msg)
    if fly_scan is not None and exposure_path is not None:
        msg = "--exposure-path replaces --fly-scan: give one of them"
        raise click.UsageError(msg)
    # left out where they are not given, so that records of other runs do not change
    given = {
        "probe_support": probe_support,
        "fly_scan": fly_scan,
        "exposure_path": None if exposure_path is None else list(exposure_path),
        "detector_sampling": None if detector_sampling == 1 else detector_sampling,
        "near_field": "geometry" if near_field else fresnel_number,
        "source_distance_m": source_distance_m,
        "slices": slices,
        "slice_thickness_m": slice_thickness_m,
        "slice_coupling": slice_coupling,
        "slice_tilt_rad": None if tilt_mrad is None else [angle / 1e3 for angle in tilt_mrad],
    }
    more_settings = {name: value for name, value in given.items() if value is not None}
    batch = Batch.of(scans, output, more)
    if companion is not None and not batch.single:
        msg = "--companion is the second file of one scan, got several scans"
        raise click.UsageError(msg)

    def check(job: Job) -> None:
        if not (overwrite or resume or batch.skip_done):
            refuse_checkpoint(job.output)
        check_result_folder(
            job.output,
            curve=half_scan_frc,
            uncertainty=uncertainty,
            tiff=tiff,
            overwrite=overwrite or resume,
            inputs=[probe_file, companion, start, *job.inputs],
            processes=devices * num_nodes,
        )

    batch.check(check)

    # These import SciPy, which refusing an existing folder does not need.
    from ptycho_core.live_page import Publisher, live_page
    from ptycho_core.solving.results import SolverInterrupted
    from ptycho_core.solving.run import SolverRun

    def run_of(job: Job) -> SolverRun:
        begun = (job.output / CHECKPOINT_FILE).exists()
        return SolverRun(
            scan=job.scan,
            output=job.output,
            reading={
                "domain": domain,
                "probe_file": probe_file,
                "companion": companion,
                **given_reading(more),
            },
            first_probe=first_probe,
            start=start,
            scan_index=scan_index,
            settings={
                "epochs": epochs,
                "batch_size": batch_size,
                "relaxation": relaxation,
                "momentum": momentum,
                "average": average,
                "update_probe": update_probe,
                "modes": modes,
                "refine_positions": refine_positions,
                "refine_affine": refine_affine,
                "refine_backlash": refine_backlash,
                "position_smoothness": position_smoothness or 0.0,
                "probe_variation": probe_variation,
                "refine_light": refine_light,
                "background": background,
                "saturation": saturation,
                "held_out": held_out,
                "tolerance": tolerance,
                "seed": seed,
                **more_settings,
            },
            auto=auto,
            devices=Devices(accelerator=accelerator, devices=devices, num_nodes=num_nodes),
            max_time=max_time,
            half_scan_frc=half_scan_frc,
            uncertainty=uncertainty,
            pictures=pictures,
            report=report,
            tiff=tiff,
            unwrap=unwrap,
            resume=resume or (batch.skip_done and begun),
            # what is there and not done is unfinished; a checkpoint of something else is not
            overwrite=overwrite or (batch.skip_done and not begun),
            progress=batch.progress(job),
        )

    def work(job: Job, page: Publisher) -> Finished:
        run = run_of(job)
        run.check_output()
        try:
            result = run.on(page).run()
        except SolverInterrupted as stop:
            tell(job, stop.result)
            raise
        if result.main_process:
            tell(job, result)
        return finished(result)

    def tell(job: Job, result: "SolverResult") -> None:
        batch.tell(job, *_summaries(job.output, result, epochs))

    with refusals_as_usage():
        run_of(batch.jobs[0]).check_settings()
    first_process_speaks(devices * num_nodes)

    def done(job: Job) -> Finished | None:
        return finished_before(job.output, run_of(job).request(), overwrite=overwrite)

    if dry_run:
        for job in batch.jobs:
            run = run_of(job)
            run.check_output()
            say(*run.plan())
        return
    with live_page(serve if is_first_process(devices * num_nodes) else None) as page:
        batch.run(
            lambda job: work(job, page),
            done=done,
            fail_above=fail_above,
        )


#: Why the solver ended, where it did not make all epochs.
_ENDS = {
    "plateau": ", stopped at a plateau of the R-factor",
    "held-out": ", stopped by the held-out patterns",
    "interrupted": ", interrupted",
    "max_time": ", stopped by --max-time",
}


def _summaries(output: Path, result: "SolverResult", epochs: int) -> list[str]:
    """Return the lines for the end of a reconstruction."""
    done, end = len(result.r_factors), _ENDS.get(result.stopped, "")
    note(f"solved: {done} epochs{end}")
    patterns = len(result.reconstruction.indices)
    line = summary(output, result.metrics, result.patterns_per_second, patterns)
    if not result.complete:
        line += f"{end} after epoch {done} of {epochs}: continue with --resume"
    asked = {"half_scan_frc": resolution_summary, "uncertainty": uncertainty_summary}
    metrics = result.metrics
    held_out = [held_out_summary(metrics)] if "held_out" in metrics else []
    rest = [tell(metrics[name]) for name, tell in asked.items() if name in metrics]
    return [line, *held_out, *rest]
