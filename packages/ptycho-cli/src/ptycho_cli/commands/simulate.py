"""``ptycho simulate``: simulate a scan of an object and write it to a file."""

from pathlib import Path
from typing import Any

import click
from attrs import evolve
from ptycho_core.outputs import output_file
from ptycho_core.simulation import bad_pixel_mask, simulate_scan
from ptycho_core.simulation_optics import simulated_optics
from ptycho_core.simulation_parts import SCANS, SimulationParts
from ptycho_data import save_scan
from ptycho_data.units import PARTICLES

from ptycho_cli.console import say
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT, OUTPUT_FILE, SEED, Number, Whole

__all__ = ["simulate"]

#: Options that `--help` shows.
BASIC = "output overwrite object_source size probe_source pixels kind n_patterns step photons seed"


@click.command(cls=Command, basic=BASIC)
@section("Output")(
    "-o", "--output", type=OUTPUT_FILE, required=True, help="Scan file (NPZ) to write."
)
@section("Output")("--overwrite", is_flag=True, help="Replace an existing file.")
@section("Output")("--dry-run", is_flag=True, help="Print the memory needed, and stop.")
@section("Scene")(
    "--from",
    "from_file",
    type=INPUT,
    help="Scan or product in any format with object, probe or positions. They are used unless an "
    "option below replaces them.",
)
@section("Scene")(
    "--object",
    "object_source",
    multiple=True,
    metavar="lines|siemens|random|IMAGE",
    help="Object, or an image whose grey value is the thickness; given several times, with "
    "--slice-thickness-m, they follow one another along the beam.  [default: siemens]",
)
@section("Scene")(
    "--size",
    type=Whole(8, 65_536),
    show_default="3 N",
    help="Side of the object in pixels.",
)
@section("Scene")(
    "--probe",
    "probe_source",
    metavar="disk|gaussian|defocused|speckle|FILE.npz",
    help="Probe, or an NPZ with `probe` or `probeGuess`.  [default: defocused]",
)
@section("Scene")(
    "--probe-size",
    type=Number(above=0, maximum=65_536),
    show_default="N/2, for gaussian N/4, for speckle 4",
    help="Diameter (gaussian: full width at half maximum; speckle: size of one) in pixels.",
)
@section("Scene")(
    "--N",
    "pixels",
    type=Whole(8, 8192),
    show_default="64",
    help="Side of a pattern in pixels.",
)
@section("Optics")(
    "--fresnel-number",
    type=Number(above=0, maximum=1e6),
    help="Put the detector into the near field: Fresnel number of a pixel, pixel^2 / (wavelength "
    "distance).",
)
@section("Optics")(
    "--slice-thickness-m",
    type=Number(above=0, maximum=1),
    help="Distance from slice to slice, of several --object, in metres.",
)
@section("Optics")(
    "--pixel-size-m",
    type=Number(above=0, maximum=1),
    help="Pixel of the object in metres.  [default with the options above: that of --from, or "
    "20 nm; in the near field 1 um]",
)
@section("Optics")(
    "--energy-ev",
    type=Number(above=0, maximum=1e12),
    help="Energy of photons or electrons.  [default with the options above: that of --from, or "
    "10 keV]",
)
@section("Optics")(
    "--particle", type=click.Choice(PARTICLES), help="What has this energy.  [default: photon]"
)
@section("Scan")(
    "--scan",
    "kind",
    type=click.Choice(list(SCANS)),
    help="Scan pattern.  [default: fermat]",
)
@section("Scan")(
    "--n-patterns", type=Whole(1, 10_000_000), help="Number of patterns, instead of --step."
)
@section("Scan")(
    "--step",
    type=Number(0.01, 65_536),
    show_default="N/10",
    help="Distance between neighbours in pixels.",
)
@section("Scan")(
    "--jitter",
    type=Number(0, 65_536),
    default=0.5,
    show_default=True,
    help="Maximum random displacement of a position in x and y, pixels.",
)
@section("Dose")(
    "--photons",
    type=Number(above=0, maximum=1e15),
    default=1e6,
    show_default="1e6",
    help="Mean photons per pattern.",
)
@section("Dose")(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of all random numbers."
)
@section("Detector")(
    "--read-noise",
    type=Number(0, 1e6),
    default=0.0,
    show_default=True,
    help="Standard deviation of the Gaussian read-out noise per pixel, counts.",
)
@section("Detector")(
    "--saturation",
    type=Number(1, 1e15),
    help="Saturation level of the detector, in counts.",
)
@section("Detector")(
    "--beam-stop",
    type=Number(above=0, maximum=65_536),
    help="Diameter of a beam stop in the centre, pixels; the pixels behind it are marked bad.",
)
@section("Detector")(
    "--bad-pixels",
    "bad_fraction",
    type=Number(0, below=1),
    default=0.0,
    show_default=True,
    help="Fraction of dead pixels, scattered over the detector and marked bad.",
)
def simulate(
    output: Path, overwrite: bool, dry_run: bool, from_file: Path | None, **options: Any
) -> None:
    r"""Simulate photon counts of a scan from an object, a probe, a scan pattern and a dose.

    \b
    ptycho simulate -o star.npz
    ptycho simulate -o cells.npz --object random --scan raster --step 5 --photons 1e4
    ptycho simulate -o again.npz --from measured.npz --photons 1e6
    ptycho simulate -o poor.npz --photons 1e5 --read-noise 2 --beam-stop 6
    ptycho simulate -o image.npz --probe speckle --fresnel-number 0.05 --step 9
    ptycho simulate -o thick.npz --object siemens --object random --slice-thickness-m 1e-4
    """
    if options["n_patterns"] is not None and options["step"] is not None:
        raise click.UsageError("give --n-patterns or --step, not both")
    sources = options["object_source"]
    if (len(sources) > 1) != (options["slice_thickness_m"] is not None):
        msg = "--slice-thickness-m and several --object are given together"
        raise click.UsageError(msg)
    named = (*sources, options["probe_source"])
    output_file(output, overwrite=overwrite, inputs=[from_file, *named])
    given = SimulationParts() if from_file is None else SimulationParts.from_file(from_file)
    memory = given.memory(
        object_size=options["size"],
        N=options["pixels"],
        n_patterns=options["n_patterns"],
        step=options["step"],
    )
    if dry_run:
        say(*memory.lines())
        return
    memory.require("the scan", "simulate fewer or smaller patterns, or a smaller object")
    optics = simulated_optics(
        given,
        N=options["pixels"],
        fresnel_number=options["fresnel_number"],
        slices=len(sources),
        slice_thickness_m=options["slice_thickness_m"],
        pixel_size_m=options["pixel_size_m"],
        energy_ev=options["energy_ev"],
        particle=options["particle"],
    )
    parts = evolve(given, stated=optics.stated).completed(
        object_source=sources[0] if sources else None,
        behind=sources[1:],
        object_size=options["size"],
        probe_source=options["probe_source"],
        probe_size=options["probe_size"],
        N=optics.N,
        scan_pattern=options["kind"],
        n_patterns=options["n_patterns"],
        step=options["step"],
        jitter=options["jitter"],
        seed=options["seed"],
    )
    assert parts.probe is not None  # noqa: S101 - for the type checker
    scan = simulate_scan(
        parts,
        options["photons"],
        options["seed"],
        read_noise=options["read_noise"],
        saturation=options["saturation"],
        bad_pixels=bad_pixel_mask(
            parts.probe.shape[-1] - 2 * optics.border,
            beam_stop=options["beam_stop"],
            dead_fraction=options["bad_fraction"],
            seed=options["seed"],
        ),
        near_field=options["fresnel_number"],
        slices=optics.slices,
        border=optics.border,
    )
    save_scan(output, scan, overwrite=overwrite)
    say(
        f"{output}: {scan.n} patterns of {scan.N} x {scan.N}, {options['photons']:.3g} photons "
        f"per pattern on average, {scan.diffraction.dtype} counts",
        *optics.lines(),
    )
