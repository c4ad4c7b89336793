"""``ptycho inspect``: content and properties of a scan file, and how to process it."""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import attrs
import click
from ptycho_core.analysis.inspection import inspect_scan
from ptycho_core.analysis.inspection_figure import save_inspection_figure
from ptycho_core.analysis.recommendation import recommend
from ptycho_core.analysis.scan_statistics import probe_diameter
from ptycho_core.formatting import table
from ptycho_core.models import is_model
from ptycho_core.outputs import output_file
from ptycho_data import (
    Domain,
    Scan,
    ScanFormatError,
    Violation,
    format_of,
    list_arrays,
    load_parts,
    load_scan,
    protection,
    refuse_inputs,
)

from ptycho_cli.commands.bundle import show_bundle
from ptycho_cli.console import say
from ptycho_cli.reading import given_reading, reading_options, scan_index_option
from ptycho_cli.sections import Command, section
from ptycho_cli.values import MODEL_OR_INPUT, PATH

__all__ = ["inspect"]


def _arrays(path: Path) -> list[dict[str, Any]]:
    """Key, shape and dtype of every array, from the headers alone."""
    rows: list[dict[str, Any]] = []
    for name, header in list_arrays(path):
        if isinstance(header, Violation):
            rows.append({"key": name, "problem": str(header)})
        else:
            rows.append({"key": name, "shape": header.shape, "dtype": str(header.dtype)})
    return rows


def _domain_reason(path: Path, domain: str | None) -> str:
    """Explain how the domain was determined."""
    if domain is not None:
        return "stated by --domain"
    if format_of(path).name not in ("npz", "lcls"):
        return "the format holds counts"
    keys = load_parts(path, ("domain", "_metadata"))
    if "domain" in keys or '"domain"' in str(keys.get("_metadata", "")):
        return "stated in the file"
    return "not stated: from the values"


def _describe(path: Path, scan: Scan, domain: str | None) -> dict[str, Any]:
    """Everything that ``--json`` prints about a valid scan."""
    inspection = inspect_scan(scan)
    positions, centre = scan.positions, inspection.light_centre
    return {
        "patterns": scan.n,
        "N": scan.N,
        "dtype": str(scan.diffraction.dtype),
        "domain": scan.domain,
        "domain_reason": _domain_reason(path, domain),
        "photons_per_pattern": _as_dict(inspection.photons),
        "nphotons": scan.nphotons,
        "saturation": attrs.asdict(inspection.saturation),
        "light_centre": None if centre is None else dict(zip("xy", centre, strict=True)),
        "region_intensities": _as_dict(inspection.regions),
        "positions": {
            "x": [float(positions[:, 0].min()), float(positions[:, 0].max())],
            "y": [float(positions[:, 1].min()), float(positions[:, 1].max())],
        },
        "probe": {
            "modes": len(scan.probe),
            "diameter": probe_diameter(scan.probe),
            "made": scan.probe_made,
        },
        "scans": scan.scan_numbers,
        "overlap": _as_dict(inspection.overlap),
        "checksums": {file.name: protection(file) for file in scan.files},
        "bad_pixels": 0 if scan.bad_pixels is None else int(scan.bad_pixels.sum()),
        "object": None if scan.object_guess is None else list(scan.object_guess.shape),
        "pixel_size_m": scan.pixel_size_m,
        "experiment": scan.experiment(),
        "cautions": [caution.to_dict() for caution in inspection.cautions],
        "suggestions": attrs.asdict(recommend(scan, inspection)),
    }


def _as_dict(measured: Any) -> dict[str, Any] | None:
    return None if measured is None else attrs.asdict(measured)


def _finite(value: Any) -> Any:
    """Replace what JSON cannot express, NaN and infinity, by None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _property_table(report: dict[str, Any]) -> str:
    photons, overlap, saturation = (
        report[key] for key in ("photons_per_pattern", "overlap", "saturation")
    )
    x, y = report["positions"]["x"], report["positions"]["y"]
    bad, centre = report["bad_pixels"], report["light_centre"]
    rows = [
        ("patterns", f"{report['patterns']} of {report['N']} x {report['N']}, {report['dtype']}"),
        ("domain", f"{report['domain']} ({report['domain_reason']})"),
        (
            "photons",
            "unknown"
            if photons is None
            else f"{photons['mean']:.4g} per pattern "
            f"({photons['minimum']:.3g} .. {photons['maximum']:.3g})",
        ),
        (
            "largest",
            f"{saturation['largest']:g} in {saturation['pixels']} pixels of "
            f"{saturation['patterns']} patterns" + (", saturated?" * saturation["suspected"]),
        ),
        ("bad pixels", f"{bad} ({100 * bad / report['N'] ** 2:.3g} %)" if bad else "none"),
        (
            "light",
            "none"
            if centre is None
            else f"centre {centre['x']:+.1f} (x), {centre['y']:+.1f} (y) pixels from the middle",
        ),
        ("positions", f"x {x[0]:.2f} .. {x[1]:.2f}, y {y[0]:.2f} .. {y[1]:.2f} pixels"),
        (
            "probe",
            f"{report['probe']['modes']} mode(s), {report['probe']['diameter']:.1f} pixels wide",
        ),
    ]
    if overlap is not None:
        apart = f"{overlap['parts']} parts, " if overlap["parts"] > 1 else ""
        places = (
            "" if overlap["places"] == report["patterns"] else f" of {overlap['places']} places"
        )
        rows.append(
            (
                "overlap",
                f"{overlap['fraction']:.0%}{places} ({apart}step {overlap['step']:.2f} pixels), "
                f"{overlap['neighbours']:.0f} neighbours within a probe diameter",
            )
        )
    elif report["probe"]["made"]:
        rows.append(("overlap", "unknown: the probe was made from the mean pattern"))
    if report["object"] is not None:
        rows.append(("object", f"{report['object'][0]} x {report['object'][1]}, for comparison"))
    size = report["pixel_size_m"]
    rows.append(("pixel size", "unknown" if size is None else f"{size * 1e9:.4g} nm"))
    rows += _experiment_rows(report["experiment"])
    several = len(report["checksums"]) > 1
    rows += [
        ("checksums", f"{name}: {text}" if several else text)
        for name, text in report["checksums"].items()
    ]
    return table(rows)


def _experiment_rows(known: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of the properties about what is known of experiment and stage."""
    texts = [
        text.format(known[key])
        for key, text in (
            ("particle", "{}"),
            ("photon_energy_eV", "{:g} eV"),
            ("detector_distance_m", "distance {:g} m"),
            ("detector_pixel_size_m", "detector pixel {:g} m"),
        )
        if key in known
    ]
    rows = [("experiment", ", ".join(texts))] if texts else []
    if "origin_m" in known:
        x, y = known["origin_m"]
        rows.append(("stage", f"pixel (0, 0) at x {x:.9g} m, y {y:.9g} m"))
    return rows


def _print_suggestions(suggestions: dict[str, Any], path: Path) -> None:
    for problem in suggestions["problems"]:
        say(f"problem: {problem}")
    command = suggestions["command"]
    if command is not None:
        words = ["ptycho", command, str(path), "-o", "model" if command == "train" else "result"]
        words += [
            f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
            for name, value in suggestions["options"].items()
        ]
        say(f"suggested, with patterns of {suggestions['N']} pixels")
        say(f"  {' '.join(words)}")
    for remark in suggestions["remarks"]:
        say(f"  note: {remark}")


@click.command(cls=Command)
@click.argument("scan", type=MODEL_OR_INPUT)
@reading_options()
@scan_index_option()
@section("Output")("--json", "as_json", is_flag=True, help="Print JSON.")
@section("Output")("--plot", type=PATH, help="Picture of patterns, probe and positions to write.")
@section("Output")("--overwrite", is_flag=True, help="Replace an existing plot.")
@click.pass_context
def inspect(
    ctx: click.Context,
    /,
    scan: Path,
    domain: Domain | None,
    companion: Path | None,
    scan_index: int | None,
    as_json: bool,
    plot: Path | None,
    overwrite: bool,
    **reading: Any,
) -> None:
    r"""Show arrays, photons, overlap and violations of the contract of SCAN, and how to process it.

    SCAN is a file of any known format, or the folder of a scan in two files. Of a trained model, or
    the name of an installed one, its card is shown. The exit code is 1 if
    the scan violates the contract.

    \b
    ptycho inspect scan.npz
    ptycho inspect scan.h5 --plot scan.png
    """
    if is_model(scan):
        show_bundle(scan, as_json=as_json)
        return
    if plot is not None:
        output_file(plot, overwrite=overwrite, inputs=[scan, companion])
    arrays = _arrays(scan)
    data, violations = None, []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            data = load_scan(scan, domain=domain, companion=companion, **given_reading(reading))
            data = data if scan_index is None else data.single(scan_index)
        except ScanFormatError as error:
            violations = [str(violation) for violation in error.violations]
    report: dict[str, Any] = {"file": scan.name, "format": format_of(scan).title}
    report |= {"arrays": arrays, "violations": violations}
    report["warnings"] = [str(warning.message) for warning in caught]
    if data is not None:
        report.update(_describe(scan, data, domain))
        problems = report["suggestions"]["problems"]
        doubts = [caution["text"] for caution in report["cautions"]]
        report["warnings"] += [text for text in doubts if text not in problems]
    if as_json:
        click.echo(json.dumps(_finite(report), indent=2, allow_nan=False))
    else:
        _print_text(report, scan)
    if data is not None and plot is not None:
        refuse_inputs([plot], data.files)  # SCAN may be a folder, or one file of two
        save_inspection_figure(data, plot, overwrite=overwrite)
    if violations:
        ctx.exit(1)


def _print_text(report: dict[str, Any], path: Path) -> None:
    say(f"{path} ({report['format']})")
    arrays = table(
        (row["key"], row["problem"], "")
        if "problem" in row
        else (row["key"], " x ".join(map(str, row["shape"])) or "scalar", row["dtype"])
        for row in report["arrays"]
    )
    say(*arrays.splitlines())
    for text in report["warnings"]:
        say(f"warning: {text}")
    if report["violations"]:
        say(f"{len(report['violations'])} violation(s) of the scan contract")
        for text in report["violations"]:
            say(f"  {text}")
        return
    say("no violation of the scan contract")
    say(*_property_table(report).splitlines())
    _print_suggestions(report["suggestions"], path)
