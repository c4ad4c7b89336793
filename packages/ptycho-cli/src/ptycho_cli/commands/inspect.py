"""``ptycho inspect``: what is in a scan file, what is wrong with it, what to do with it."""

import json
import warnings
from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np
from ptycho_data import (
    Domain,
    Scan,
    ScanFormatError,
    Violation,
    fixture_indices,
    format_of,
    list_arrays,
    load_parts,
    load_scan,
)
from ptycho_data.figures import draw, new_figure, object_views, save_figure

from ptycho_cli import inspection
from ptycho_cli.centring import light_of
from ptycho_cli.console import table
from ptycho_cli.outputs import not_an_input, output_file
from ptycho_cli.reading import INPUT, reading_options
from ptycho_cli.sections import Command, section

__all__ = ["inspect"]

PATH = click.Path(path_type=Path)
#: Dots in a plot of positions: more of them only hide each other.
MOST_POSITIONS = 20_000


def _arrays(path: Path) -> list[dict[str, Any]]:
    """Key, shape and dtype of every array, from the headers alone."""
    rows: list[dict[str, Any]] = []
    for name, found in list_arrays(path):
        if isinstance(found, Violation):
            rows.append({"key": name, "problem": str(found)})
        else:
            rows.append({"key": name, "shape": found.shape, "dtype": str(found.dtype)})
    return rows


def _domain_reason(path: Path, domain: str | None) -> str:
    """Say why the domain is what it is."""
    if domain is not None:
        return "stated by --domain"
    if format_of(path).name not in ("npz", "lcls"):
        return "the format holds counts"
    keys = load_parts(path, ("domain", "_metadata"))
    if "domain" in keys or '"domain"' in str(keys.get("_metadata", "")):
        return "stated in the file"
    return "from the number type: integers are counts, floats up to 1 are amplitudes"


def _describe(path: Path, scan: Scan, domain: str | None) -> dict[str, Any]:
    """Everything that ``--json`` prints about a good scan."""
    light = inspection.dose(scan)
    seen = inspection.overlap(scan)
    full = inspection.saturation(scan)
    where = light_of(scan)
    positions = scan.positions
    return {
        "patterns": scan.n,
        "N": scan.N,
        "dtype": str(scan.diffraction.dtype),
        "domain": scan.domain,
        "domain_reason": _domain_reason(path, domain),
        "photons_per_pattern": None if light is None else attrs.asdict(light),
        "nphotons": scan.nphotons,
        "saturation": attrs.asdict(full),
        "light": None if where is None else attrs.asdict(where),
        "positions": {
            "x": [float(positions[:, 0].min()), float(positions[:, 0].max())],
            "y": [float(positions[:, 1].min()), float(positions[:, 1].max())],
        },
        "probe": {
            "modes": len(scan.probe),
            "diameter": inspection.probe_diameter(scan.probe),
        },
        "overlap": None if seen is None else attrs.asdict(seen),
        "bad_pixels": 0 if scan.bad_pixels is None else int(scan.bad_pixels.sum()),
        "object": None if scan.object_guess is None else list(scan.object_guess.shape),
        "pixel_size_m": scan.pixel_size_m,
        "suggestions": inspection.suggestions(scan, seen, light, full, where),
    }


def _print(found: dict[str, Any], path: Path) -> None:
    light, seen, full = (found[key] for key in ("photons_per_pattern", "overlap", "saturation"))
    x, y = found["positions"]["x"], found["positions"]["y"]
    options, remarks = (found["suggestions"][key] for key in ("options", "remarks"))
    rows = [
        ("patterns", f"{found['patterns']} of {found['N']} x {found['N']}, {found['dtype']}"),
        ("domain", f"{found['domain']} ({found['domain_reason']})"),
        (
            "photons",
            "unknown"
            if light is None
            else f"{light['mean']:.4g} per pattern "
            f"({light['minimum']:.3g} .. {light['maximum']:.3g})",
        ),
        (
            "largest",
            f"{full['largest']:g} in {full['pixels']} pixels of {full['patterns']} patterns"
            + (", saturated?" if full["suspected"] else ""),
        ),
        ("positions", f"x {x[0]:.2f} .. {x[1]:.2f}, y {y[0]:.2f} .. {y[1]:.2f} pixels"),
        (
            "probe",
            f"{found['probe']['modes']} mode(s), {found['probe']['diameter']:.1f} pixels wide",
        ),
    ]
    if seen is not None:
        rows.append(
            (
                "overlap",
                f"{seen['fraction']:.0%} (step {seen['step']:.2f} pixels), "
                f"{seen['neighbours']:.0f} neighbours within a probe",
            )
        )
    if found["object"] is not None:
        rows.append(("object", f"{found['object'][0]} x {found['object'][1]}, for comparison"))
    size = found["pixel_size_m"]
    rows.append(("pixel size", "unknown" if size is None else f"{size * 1e9:.4g} nm"))
    click.echo(table(rows))
    for problem in found["suggestions"]["problems"]:
        click.echo(f"problem: {problem}")
    command = found["suggestions"]["command"]
    if command is not None:
        words = ["ptycho", command, str(path), "-o", "model" if command == "train" else "result"]
        words += [f"--{name.replace('_', '-')} {value}" for name, value in options.items()]
        click.echo(f"suggested, with patterns of {found['suggestions']['N']} pixels")
        click.echo(f"  {' '.join(words)}")
    for remark in remarks:
        click.echo(f"  note: {remark}")


def _plot(scan: Scan, path: Path, *, overwrite: bool) -> None:
    """Draw the mean pattern, the brightest one, the probe and the positions."""
    figure = new_figure(11, 9)
    axes = figure.subplots(2, 2)
    totals = scan.intensity_totals
    chosen = np.unique(np.linspace(0, scan.n - 1, min(scan.n, 256)).astype(int))
    patterns = {
        "Mean pattern": np.asarray(scan.diffraction[chosen], dtype=np.float64).mean(axis=0),
        f"Brightest pattern ({int(totals.argmax())})": np.asarray(
            scan.diffraction[int(totals.argmax())], dtype=np.float64
        ),
    }
    for place, (title, image) in zip(axes[0], patterns.items(), strict=True):
        picture = place.imshow(np.log10(1 + image * (1e3 if scan.domain == "amplitude" else 1)))
        place.set_title(title)
        label = "log10(1 + counts)" if scan.domain == "counts" else "log10(1 + 1000 amplitude)"
        figure.colorbar(picture, ax=place, label=label, fraction=0.046, pad=0.03)
    draw(axes[1, 0], object_views(scan.probe[0], suffix=" of the probe")[0], scan.pixel_size_m)
    shown = fixture_indices(scan.positions, min(scan.n, MOST_POSITIONS))
    dots = axes[1, 1].scatter(
        scan.xcoords[shown], scan.ycoords[shown], c=totals[shown], s=6 if scan.n < 2000 else 1
    )
    title = "Positions" if len(shown) == scan.n else f"{len(shown)} of {scan.n} positions"
    axes[1, 1].set(title=title, xlabel="x / pixel", ylabel="y / pixel", aspect="equal")
    axes[1, 1].invert_yaxis()
    figure.colorbar(dots, ax=axes[1, 1], label="sum of the pattern", fraction=0.046, pad=0.03)
    save_figure(figure, path, overwrite=overwrite)


@click.command(cls=Command)
@click.argument("scan", type=INPUT)
@reading_options()
@section("Output")("--json", "as_json", is_flag=True, help="Print JSON.")
@section("Output")("--plot", type=PATH, help="Draw patterns, probe and positions into this file.")
@section("Output")("--overwrite", is_flag=True, help="Replace an existing plot.")
@click.pass_context
def inspect(
    ctx: click.Context,
    scan: Path,
    domain: Domain | None,
    companion: Path | None,
    pixel_size_m: float | None,
    as_json: bool,
    plot: Path | None,
    overwrite: bool,
) -> None:
    r"""Show what is in SCAN: arrays, dose, overlap, what breaks the contract, what to do with it.

    SCAN is a file of any known format, or the folder of a scan in two files. Exit code 1 if
    anything breaks the contract.

    \b
    ptycho inspect scan.npz
    ptycho inspect scan.h5 --plot scan.png
    """
    if plot is not None:
        not_an_input(plot, [scan, *([companion] if companion else [])])
        output_file(plot, overwrite=overwrite)
    arrays = _arrays(scan)
    data, violations = None, []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            data = load_scan(scan, domain=domain, companion=companion, pixel_size_m=pixel_size_m)
        except ScanFormatError as error:
            violations = [str(violation) for violation in error.violations]
    report: dict[str, Any] = {"file": scan.name, "format": format_of(scan).title}
    report |= {"arrays": arrays, "violations": violations}
    report["warnings"] = [str(warning.message) for warning in caught]
    if data is not None:
        report.update(_describe(scan, data, domain))
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _print_text(report, scan)
    if data is not None and plot is not None:
        _plot(data, plot, overwrite=overwrite)
    if violations:
        ctx.exit(1)


def _print_text(report: dict[str, Any], path: Path) -> None:
    click.echo(f"{path} ({report['format']})")
    click.echo(
        table(
            (row["key"], row["problem"], "")
            if "problem" in row
            else (row["key"], " x ".join(map(str, row["shape"])) or "scalar", row["dtype"])
            for row in report["arrays"]
        )
    )
    for text in report["warnings"]:
        click.echo(f"warning: {text}")
    if report["violations"]:
        click.echo(f"{len(report['violations'])} violation(s) of the scan contract")
        for text in report["violations"]:
            click.echo(f"  {text}")
        return
    click.echo("no violation of the scan contract")
    _print(report, path)
