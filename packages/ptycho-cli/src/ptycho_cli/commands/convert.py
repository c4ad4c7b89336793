"""``ptycho convert``: a scan from one file format into another, however large."""

from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np
from ptycho_data import (
    FORMATS,
    CentredSource,
    Domain,
    Format,
    LazyStack,
    Scan,
    format_named,
    format_of,
    load_arrays,
    load_scan,
)

from ptycho_cli.outputs import not_an_input, output_file, output_folder
from ptycho_cli.reading import ABOVE_ZERO, INPUT, reading_options
from ptycho_cli.sections import Command, section

__all__ = ["convert"]

PATH = click.Path(path_type=Path)
#: What each correction does, in the order in which they are made.
CORRECTIONS = {
    "swap_xy": "x and y swapped",
    "flip_x": "sign of x changed",
    "flip_y": "sign of y changed",
    "shift_patterns": "zero frequency of the patterns moved from the corner to the centre",
}
WRITTEN = {one.name: one for one in FORMATS if one.write is not None}


def _target(out: Path, name: str | None) -> Format:
    """Choose the format to write: as asked for, or as the name of the output suggests."""
    if name is not None:
        return format_named(name)
    for one in WRITTEN.values():
        if one.suffix == out.suffix.lower():
            return one
    endings = [f"{one.suffix} ({one.name})" for one in WRITTEN.values() if one.suffix]
    folders = [one.name for one in WRITTEN.values() if not one.suffix]
    msg = (
        f"{out}: the ending {out.suffix} tells no format; end the name in {' or '.join(endings)}, "
        f"leave the ending out for a folder ({' or '.join(folders)}), or say --to FORMAT"
    )
    raise click.UsageError(msg)


def _check_output(out: Path, inputs: list[Path], target: Format, *, overwrite: bool) -> None:
    if target.suffix:
        not_an_input(out, inputs)
        output_file(out, overwrite=overwrite)
        return
    for name in target.files:
        not_an_input(out / name, [file for path in inputs for file in (path, path / name)])
    output_folder(out, target.files, overwrite=overwrite)


def _repositioned(scan: Scan, path: Path) -> Scan:
    """Return the scan at the positions of a file, those it had becoming the nominal ones."""
    found = load_arrays(path, ("xcoords", "ycoords"), optional=("origin", "indices"))
    order = found.get("indices", np.arange(scan.n))
    shapes = {found[name].shape for name in ("xcoords", "ycoords")}
    if shapes != {(scan.n,)} or not np.array_equal(order, np.arange(scan.n)):
        msg = (
            f"{path}: xcoords and ycoords must be of all {scan.n} patterns of the scan in their "
            f"order, found {len(order)} with shapes {sorted(shapes)}"
        )
        raise ValueError(msg)
    # a reconstruction counts from the first pixel of its object, which lies at its origin
    x, y = (
        found[name].astype(np.float64) + shift
        for name, shift in zip(("xcoords", "ycoords"), found.get("origin", (0, 0)), strict=True)
    )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        msg = f"{path}: xcoords and ycoords must be finite, found NaN or infinity"
        raise ValueError(msg)
    start_x, start_y = scan.start_positions.T
    return attrs.evolve(scan, xcoords=x, ycoords=y, xcoords_start=start_x, ycoords_start=start_y)


def _changed(scan: Scan, changes: dict[str, Any]) -> tuple[Scan, list[str]]:
    """Return the scan as the options want it, and what was corrected or lost by that."""
    said = [text for name, text in CORRECTIONS.items() if changes[name]]
    said = [f"corrected: {', '.join(said)}"] if said else []
    numbers = {key: value for key, value in changes.items() if value and value is not True}
    if numbers:
        scan = attrs.evolve(scan, **numbers)
    if changes["shift_patterns"]:
        mask = scan.bad_pixels
        scan = attrs.evolve(
            scan,
            diffraction=LazyStack(CentredSource(scan.diffraction)),
            bad_pixels=None if mask is None else np.fft.fftshift(mask),
        )
    x, y = scan.xcoords, scan.ycoords
    if changes["swap_xy"]:
        x, y = y, x
    x, y = (-x if changes["flip_x"] else x), (-y if changes["flip_y"] else y)
    if changes["swap_xy"] or changes["flip_x"] or changes["flip_y"]:
        # What fitted the positions as they were does not fit them now.
        former = {"objectGuess": scan.object_guess, "xcoords_start": scan.xcoords_start}
        former["ycoords_start"] = scan.ycoords_start
        lost = [name for name, values in former.items() if values is not None]
        if lost:
            said.append(f"left out: {', '.join(lost)} (of the positions before the correction)")
        scan = attrs.evolve(
            scan, xcoords=x, ycoords=y, object_guess=None, xcoords_start=None, ycoords_start=None
        )
    return scan, said


def _summary(source: Format, scan: Scan, files: tuple[Path, ...]) -> str:
    names = " and ".join(path.name for path in files)
    size = "unknown" if scan.pixel_size_m is None else f"{scan.pixel_size_m * 1e9:.6g} nm"
    modes = f"probe of {len(scan.probe)} mode(s)"
    object_ = "no object" if scan.object_guess is None else (
        f"object {scan.object_guess.shape[0]} x {scan.object_guess.shape[1]}"
    )  # fmt: skip
    return (
        f"read {names}: {source.title}, {source.units}\n"
        f"  {scan.n} patterns of {scan.N} x {scan.N}, {scan.diffraction.dtype} {scan.domain}; "
        f"{modes}; {object_}\n"
        f"  object pixel {size}; x {scan.xcoords.min():.2f} .. {scan.xcoords.max():.2f}, "
        f"y {scan.ycoords.min():.2f} .. {scan.ycoords.max():.2f} pixels"
    )


@click.command(cls=Command)
@click.argument("scan", type=INPUT)
@click.argument("out", type=PATH)
@section("Output")(
    "--to", type=click.Choice(list(WRITTEN)), help="Format to write; by default as OUT ends."
)
@section("Output")("--overwrite", is_flag=True, help="Replace existing files.")
@reading_options("What the file does not say")
@section("Input")(
    "--probe-file", type=INPUT, help="Take the probe from this scan, product or reconstruction."
)
@section("Input")(
    "--positions-file",
    type=INPUT,
    help="Take xcoords and ycoords from this NPZ: refined by a training, or a reconstruction.",
)
@section("What the file does not say")(
    "--photon-energy-ev", type=ABOVE_ZERO, help="Photon energy in eV."
)
@section("What the file does not say")(
    "--detector-distance-m", type=ABOVE_ZERO, help="Distance of the detector in metres."
)
@section("What the file does not say")(
    "--detector-pixel-size-m", type=ABOVE_ZERO, help="Detector pixel in metres."
)
@section("What the file does not say")(
    "--nphotons", type=ABOVE_ZERO, help="Mean photons per pattern, for amplitudes."
)
@section("Corrections")("--flip-x", is_flag=True, help="Positions with the sign of x changed.")
@section("Corrections")("--flip-y", is_flag=True, help="Positions with the sign of y changed.")
@section("Corrections")("--swap-xy", is_flag=True, help="Positions with x and y swapped, first.")
@section("Corrections")(
    "--shift-patterns",
    is_flag=True,
    help="Move zero frequency from the corner of the patterns to their centre.",
)
def convert(
    scan: Path,
    out: Path,
    to: str | None,
    overwrite: bool,
    companion: Path | None,
    domain: Domain | None,
    probe_file: Path | None,
    positions_file: Path | None,
    pixel_size_m: float | None,
    **changes: Any,
) -> None:
    r"""Read SCAN, whatever its format, and write it to OUT in another.

    The format of SCAN is told by its content. It may be a file, either file of a pair, or a
    folder with the pair. Patterns pass through piece by piece: the scan may be larger than memory.

    \b
    ptycho convert beamtime/ scan.npz       a folder of ptychodus
    ptycho convert scan_dp.hdf5 other.npz   fold_slice, with scan_para.hdf5 beside it
    ptycho convert scan.npz scan.cxi
    ptycho convert scan.npz run --to ptychodus
    ptycho convert scan.npz moved.npz --positions-file model/refined/1-scan.npz
    """
    target = _target(out, to)
    given = (scan, companion, probe_file, positions_file)
    inputs = [path for path in given if path is not None]
    _check_output(out, inputs, target, overwrite=overwrite)
    source = format_of(scan)
    data = load_scan(
        scan, domain=domain, companion=companion, pixel_size_m=pixel_size_m, probe_file=probe_file
    )
    click.echo(_summary(source, data, data.files))
    _check_output(out, list(data.files), target, overwrite=overwrite)
    if positions_file is not None:
        data = _repositioned(data, positions_file)
    data, corrections = _changed(data, changes)
    assert target.write is not None  # noqa: S101 - only those that can are offered
    lost = target.write(out, data, overwrite)
    click.echo(f"wrote {out}: {target.title}, {target.units}")
    for line in (*corrections, *lost):
        click.echo(f"  {line}")
