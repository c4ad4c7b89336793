"""``ptycho simulate``: object x probe x scan pattern x dose x detector -> a scan file."""

from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np
from numpy.typing import NDArray
from ptycho_data import Scan, save_scan
from ptycho_physics import simulate_counts
from ptycho_physics.noise import beam_stop as beam_stop_pixels
from ptycho_physics.noise import random_bad_pixels

from ptycho_cli import sources
from ptycho_cli.console import note
from ptycho_cli.outputs import not_an_input, output_file
from ptycho_cli.sections import Command, section

__all__ = ["simulate", "simulate_scan"]

FILE = click.Path(path_type=Path, dir_okay=False)
INPUT = click.Path(path_type=Path, exists=True)


def _integers(counts: NDArray[np.float32]) -> NDArray[Any]:
    """Store counts in the smaller of the two unsigned types, if it holds them."""
    fits = float(counts.max(initial=0)) <= np.iinfo(np.uint16).max
    return counts.astype(np.uint16 if fits else np.uint32)


def simulate_scan(
    parts: sources.Parts,
    photons: float,
    seed: int,
    *,
    read_noise: float = 0.0,
    saturation: float | None = None,
    bad_pixels: NDArray[np.bool_] | None = None,
) -> Scan:
    """Simulate the counts of a scan whose parts are all there.

    Parameters
    ----------
    parts
        Object, probe and positions.
    photons
        Mean photons per pattern.
    seed
        Seed of the noise.
    read_noise, saturation, bad_pixels
        Of the detector: those of `ptycho_physics.read_out`.

    Returns
    -------
    Scan
        Counts, with the object as ``object_guess``. An object too small for the outer patches is
        surrounded by vacuum for the simulation, which is logged, and so is saturation.
    """
    if parts.object is None or parts.probe is None or parts.positions is None:
        msg = "object, probe and positions are needed to simulate a scan"
        raise ValueError(msg)
    N = parts.probe.shape[-1]
    extended, local, reaching = sources.extend(parts.object, parts.positions, N)
    if reaching:
        note(
            f"{reaching} of {len(local)} patches reach over the border of the object "
            f"{parts.object.shape[::-1]}: it is surrounded by vacuum (ones)"
        )
    counts = simulate_counts(
        extended,
        parts.probe,
        local,
        photons,
        seed,
        read_noise=read_noise,
        saturation=saturation,
        bad_pixels=bad_pixels,
    )
    full = 0 if saturation is None else int((counts >= saturation).any(axis=(1, 2)).sum())
    if full:
        note(f"{full} of {len(counts)} patterns have pixels at the saturation of {saturation:g}")
    return Scan(
        diffraction=_integers(counts),
        xcoords=parts.positions[:, 0],
        ycoords=parts.positions[:, 1],
        probe=parts.probe,
        domain="counts",
        object_guess=parts.object,
        bad_pixels=bad_pixels,
        nphotons=photons,
    )


@click.command(cls=Command)
@section("Output")("-o", "--output", type=FILE, required=True, help="Scan file (NPZ) to write.")
@section("Output")("--overwrite", is_flag=True, help="Replace an existing file.")
@section("Scene")(
    "--from",
    "from_file",
    type=INPUT,
    help="Scan or product in any format with object, probe and positions, or some of them: taken "
    "where no option below says otherwise.",
)
@section("Scene")(
    "--object",
    "object_source",
    metavar="lines|siemens|random|IMAGE",
    help="Object, or a picture whose grey is its thickness.  [default: siemens]",
)
@section("Scene")(
    "--size",
    type=click.IntRange(min=8),
    show_default="3 N",
    help="Side of the object in pixels.",
)
@section("Scene")(
    "--probe",
    "probe_source",
    metavar="disk|gaussian|defocused|FILE.npz",
    help="Probe, or an NPZ with `probe` or `probeGuess`.  [default: defocused]",
)
@section("Scene")(
    "--probe-size",
    type=click.FloatRange(min=0, min_open=True),
    show_default="N/2, for gaussian N/4",
    help="Diameter (gaussian: full width at half maximum) in pixels.",
)
@section("Scene")(
    "--N",
    "pixels",
    type=click.IntRange(min=8),
    show_default="64",
    help="Side of a pattern in pixels.",
)
@section("Scan")(
    "--scan",
    "kind",
    type=click.Choice(list(sources.SCANS)),
    help="Scan pattern.  [default: fermat]",
)
@section("Scan")(
    "--n-patterns", type=click.IntRange(min=1), help="Number of patterns, instead of --step."
)
@section("Scan")(
    "--step",
    type=click.FloatRange(min=0, min_open=True),
    show_default="N/10",
    help="Distance between neighbours in pixels.",
)
@section("Scan")(
    "--jitter",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    help="Largest random move of a position in x and y, pixels.",
)
@section("Dose")(
    "--photons",
    type=click.FloatRange(min=0, min_open=True, max=1e15),
    default=1e6,
    show_default="1e6",
    help="Mean photons per pattern.",
)
@section("Dose")(
    "--seed", type=int, default=0, show_default=True, help="Seed of all random numbers."
)
@section("Detector")(
    "--read-noise",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Standard deviation of the Gaussian noise of a pixel, counts.",
)
@section("Detector")(
    "--saturation",
    type=click.FloatRange(min=1),
    help="Largest count a pixel can report.",
)
@section("Detector")(
    "--beam-stop",
    type=click.FloatRange(min=0, min_open=True),
    help="Diameter of a beam stop in the centre of the patterns, pixels; they are marked bad.",
)
@section("Detector")(
    "--bad-pixels",
    "bad_fraction",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=0.0,
    show_default=True,
    help="Fraction of dead pixels, scattered over the detector and marked bad.",
)
def simulate(output: Path, overwrite: bool, from_file: Path | None, **options: Any) -> None:
    r"""Make a scan: an object, a probe, a scan pattern and a dose become photon counts.

    \b
    ptycho simulate -o star.npz
    ptycho simulate -o cells.npz --object random --scan raster --step 5 --photons 1e4
    ptycho simulate -o again.npz --from measured.npz --photons 1e6
    ptycho simulate -o poor.npz --photons 1e5 --read-noise 2 --beam-stop 6
    """
    if options["n_patterns"] is not None and options["step"] is not None:
        raise click.UsageError("Give --n-patterns or --step, not both.")
    if from_file is not None:
        not_an_input(output, [from_file])
    output_file(output, overwrite=overwrite)
    given = sources.Parts.from_file(from_file) if from_file is not None else sources.Parts()
    parts = _complete(given, **options)
    assert parts.probe is not None  # noqa: S101 - for the type checker
    scan = simulate_scan(
        parts,
        options["photons"],
        options["seed"],
        read_noise=options["read_noise"],
        saturation=options["saturation"],
        bad_pixels=_bad_pixels(parts.probe.shape[-1], **options),
    )
    save_scan(output, scan, overwrite=overwrite)
    click.echo(
        f"{output}: {scan.n} patterns of {scan.N} x {scan.N}, {options['photons']:.3g} photons "
        f"each on average, {scan.diffraction.dtype} counts"
    )


def _bad_pixels(
    N: int, *, beam_stop: float | None, bad_fraction: float, seed: int, **_: object
) -> NDArray[np.bool_] | None:
    """Return what the beam stop hides and what is dead; None for a detector without fault."""
    if beam_stop is None and not bad_fraction:
        return None
    bad = random_bad_pixels(N, bad_fraction, seed)
    return bad if beam_stop is None else bad | beam_stop_pixels(N, beam_stop)


def _complete(
    parts: sources.Parts,
    *,
    object_source: str | None,
    size: int | None,
    probe_source: str | None,
    probe_size: float | None,
    pixels: int | None,
    kind: str | None,
    n_patterns: int | None,
    step: float | None,
    jitter: float,
    seed: int,
    **_: object,
) -> sources.Parts:
    """Make what is asked for, keep what the file gave, make the defaults of the rest."""
    asked = any(option is not None for option in (probe_source, probe_size, pixels))
    if parts.probe is None or asked:
        probe = sources.make_probe(probe_source or "defocused", pixels or 64, probe_size)
        found = probe.shape[-1]
        if pixels is not None and found != pixels:
            msg = f"probe {probe_source}: --N is {pixels}, found {found} pixels; leave --N out"
            raise ValueError(msg)
        parts = attrs.evolve(parts, probe=probe)
    assert parts.probe is not None  # noqa: S101 - for the type checker
    N = parts.probe.shape[-1]
    if parts.object is None or object_source is not None or size is not None:
        made = sources.make_object(object_source or "siemens", size, 3 * N, seed)
        parts = attrs.evolve(parts, object=made)
    assert parts.object is not None  # noqa: S101 - for the type checker
    wanted = kind is not None or n_patterns is not None or step is not None
    if parts.positions is None or wanted:
        shape = (parts.object.shape[0], parts.object.shape[1])
        positions = sources.make_scan(
            kind or "fermat", shape, N, number=n_patterns, step=step, jitter=jitter, seed=seed
        )
        parts = attrs.evolve(parts, positions=positions)
    return parts
