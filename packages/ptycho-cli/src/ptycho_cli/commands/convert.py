"""``ptycho convert``: a scan from one file format into another, of any size."""

from pathlib import Path
from typing import Any

import attrs
import click
from ptycho_core.analysis.scan_corrections import (
    correct_positions,
    shift_patterns,
    with_positions_from,
)
from ptycho_core.cautions import require_near
from ptycho_core.outputs import output_file, output_set
from ptycho_data import Domain, Format, Scan, format_named, format_of, known_formats, load_scan

from ptycho_cli.console import say
from ptycho_cli.reading import given_reading, reading_options, scan_index_option
from ptycho_cli.sections import Command, section
from ptycho_cli.values import ABOVE_ZERO, INPUT, PATH

__all__ = ["convert"]

#: Options that `--help` shows.
BASIC = "out to overwrite positions_file probe_file nphotons flip_x flip_y swap_xy shift_patterns"

#: Corrections in the order in which they are applied.
CORRECTIONS = {
    "swap_xy": "x and y swapped",
    "flip_x": "sign of x changed",
    "flip_y": "sign of y changed",
    "shift_patterns": "zero frequency of the patterns moved from the corner to the centre",
}
#: Options that set a property of the scan.
STATED = ("nphotons",)
WRITABLE = {fmt.name: fmt for fmt in known_formats() if fmt.write is not None}


def _target(out: Path, name: str | None) -> Format:
    """Return the format to write: the given one, or the one that the output's suffix means."""
    if name is not None:
        return format_named(name)
    for fmt in WRITABLE.values():
        if fmt.suffix == out.suffix.lower():
            return fmt
    suffixes = [f"{fmt.suffix} ({fmt.name})" for fmt in WRITABLE.values() if fmt.suffix]
    folders = [fmt.name for fmt in WRITABLE.values() if not fmt.suffix]
    msg = (
        f"{out}: the suffix must be {' or '.join(suffixes)}, or none for a folder "
        f"({' or '.join(folders)}), got {out.suffix}; or give --to FORMAT"
    )
    raise click.UsageError(msg)


def _check_output(out: Path, inputs: list[Path], target: Format, *, overwrite: bool) -> None:
    if target.suffix:
        output_file(out, overwrite=overwrite, inputs=inputs)
    else:
        output_set(out, None, target.files, overwrite=overwrite, inputs=inputs)


def _corrected(scan: Scan, changes: dict[str, Any]) -> tuple[Scan, list[str]]:
    """Apply the options to the scan; returns lines about what was corrected or left out."""
    corrections = [text for name, text in CORRECTIONS.items() if changes[name]]
    lines = [f"corrected: {', '.join(corrections)}"] if corrections else []
    stated = {name: changes[name] for name in STATED if changes[name] is not None}
    if stated:
        scan = attrs.evolve(scan, **stated)
    if changes["shift_patterns"]:
        scan = shift_patterns(scan)
    scan, omitted = correct_positions(
        scan, swap_xy=changes["swap_xy"], flip_x=changes["flip_x"], flip_y=changes["flip_y"]
    )
    if omitted:
        lines.append(f"left out: {', '.join(omitted)} (belonging to the uncorrected positions)")
    return scan, lines


def _summary(source: Format, scan: Scan, files: tuple[Path, ...]) -> list[str]:
    names = " and ".join(path.name for path in files)
    size = "unknown" if scan.pixel_size_m is None else f"{scan.pixel_size_m * 1e9:.6g} nm"
    modes = f"probe of {len(scan.probe)} mode(s)"
    object_ = "no object" if scan.object_guess is None else (
        f"object {scan.object_guess.shape[0]} x {scan.object_guess.shape[1]}"
    )  # fmt: skip
    return [
        f"read {names}: {source.title}, {source.units}",
        f"  {scan.n} patterns of {scan.N} x {scan.N}, {scan.diffraction.dtype} {scan.domain}; "
        f"{modes}; {object_}",
        f"  object pixel {size}; x {scan.xcoords.min():.2f} .. {scan.xcoords.max():.2f}, "
        f"y {scan.ycoords.min():.2f} .. {scan.ycoords.max():.2f} pixels",
    ]


@click.command(cls=Command, basic=BASIC)
@click.argument("scan", type=INPUT)
@click.argument("out", type=PATH)
@section("Output")(
    "--to",
    type=click.Choice(list(WRITABLE)),
    help="Format to write; by default that of the suffix of OUT.",
)
@section("Output")("--overwrite", is_flag=True, help="Replace existing files.")
@reading_options()
@scan_index_option()
@section("Input")(
    "--probe-file", type=INPUT, help="Take the probe from this scan, product or reconstruction."
)
@section("Input")(
    "--positions-file",
    type=INPUT,
    help="Take xcoords and ycoords from this NPZ: refined positions, or a reconstruction.",
)
@section("Input")("--nphotons", type=ABOVE_ZERO, help="Mean photons per pattern, for amplitudes.")
@section("Corrections")("--flip-x", is_flag=True, help="Change the sign of x of the positions.")
@section("Corrections")("--flip-y", is_flag=True, help="Change the sign of y of the positions.")
@section("Corrections")(
    "--swap-xy", is_flag=True, help="Swap x and y of the positions, before any sign change."
)
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
    scan_index: int | None,
    **changes: Any,
) -> None:
    r"""Read SCAN in any known format and write it to OUT in another.

    The format of SCAN is recognised by its content. It may be a file, either file of a pair, or a
    folder with the pair. Patterns are copied in blocks: the scan may be larger than memory.

    \b
    ptycho convert beamtime/ scan.npz       a folder written by ptychodus
    ptycho convert scan_dp.hdf5 other.npz   fold_slice, with scan_para.hdf5 beside it
    ptycho convert scan.npz scan.cxi
    ptycho convert scan.npz run --to ptychodus
    ptycho convert scan.npz moved.npz --positions-file model/refined/1-scan.npz
    """
    target = _target(out, to)
    arguments = (scan, companion, probe_file, positions_file)
    inputs = [path for path in arguments if path is not None]
    _check_output(out, inputs, target, overwrite=overwrite)
    source = format_of(scan)
    data = load_scan(
        scan,
        domain=domain,
        companion=companion,
        probe_file=probe_file,
        **given_reading(changes),
    )
    if scan_index is not None:
        data = data.single(scan_index)
    say(*_summary(source, data, data.files))
    _check_output(out, list(data.files), target, overwrite=overwrite)
    if positions_file is not None:
        data = with_positions_from(data, positions_file)
    data, corrections = _corrected(data, changes)
    require_near(data)
    assert target.write is not None  # noqa: S101 - only writable formats are offered
    omitted = target.write(out, data, overwrite)
    say(f"wrote {out}: {target.title}, {target.units}")
    for line in (*corrections, *omitted):
        say(f"  {line}")
