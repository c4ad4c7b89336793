"""``ptycho bundle``: show, check and export a trained model."""

import json
from pathlib import Path
from typing import Any

import click
from ptycho_core.backends import require
from ptycho_core.formatting import table
from ptycho_core.outputs import output_file
from ptycho_core.pretrained import card
from ptycho_data import Bundle, check_bundle, load_bundle

from ptycho_cli.console import say
from ptycho_cli.sections import Command, section
from ptycho_cli.values import MODEL, OUTPUT_FILE, Whole

__all__ = ["bundle"]


def _report(found: Bundle) -> dict[str, Any]:
    return {
        "backend": found.backend,
        "created": found.created,
        "versions": found.versions,
        "configuration": found.config,
        "overrides_applied": found.overrides_applied,
        "scaling": found.scaling,
        "start": found.start,
        "probe": {"modes": found.probe.shape[0], "N": found.probe.shape[-1]},
        "weights": {name: list(array.shape) for name, array in found.weights.items()},
        "parameters": sum(int(array.size) for array in found.weights.values()),
        "history": found.history,
    }


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, str(value)))
    return rows


@click.group()
def bundle() -> None:
    """Show, check or export a trained model (wts.h5.zip, its folder, or an installed name)."""


@bundle.command(cls=Command)
@click.argument("path", metavar="BUNDLE", type=MODEL)
@section("Output")("--json", "as_json", is_flag=True, help="Print JSON, weight shapes included.")
def show(path: Path, as_json: bool) -> None:
    """Show manifest, configuration and losses of BUNDLE, and its card if it has one."""
    show_bundle(path, as_json=as_json)


def show_bundle(path: Path, *, as_json: bool) -> None:
    """Print what is in a bundle; errors as of `ptycho_data.load_bundle`."""
    found = load_bundle(path)
    about = card(path)
    report = _report(found) | ({"card": about} if about else {})
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    settings = report["configuration"]
    model = settings["model"] if isinstance(settings.get("model"), dict) else {}
    rows = [
        ("backend", report["backend"]),
        ("created", report["created"]),
        (
            "architecture",
            f"{model.get('architecture', 'unknown')}, gridsize {model.get('gridsize')}",
        ),
        ("parameters", f"{report['parameters']} in {len(report['weights'])} arrays"),
        *([("started from", found.start_text)] if found.start else []),
        ("probe", f"{report['probe']['modes']} mode(s) of {report['probe']['N']} pixels"),
    ]
    for name, values in report["history"].items():
        if values:
            rows.append((name, f"{values[0]:.6g} -> {values[-1]:.6g} in {len(values)} epochs"))
    say(str(path), *table(rows).splitlines())
    for title in ("configuration", "scaling", "versions"):
        lines = _flat(report[title])
        if lines:
            say(title, *table(lines).splitlines())
    if about:
        say("card", *(f"  {line}" for line in about.splitlines()))


@bundle.command(cls=Command)
@click.argument("path", metavar="BUNDLE", type=MODEL)
def check(path: Path) -> None:
    """Check that BUNDLE is complete and undamaged: sizes, hashes, format."""
    manifest = check_bundle(path)
    load_bundle(path)  # the hashes are right; also check the content of the members
    members = len(manifest["members"]) if "members" in manifest else len(manifest)
    say(f"{path}: intact, {members} members, trained with {manifest['backend']}")


@bundle.command(cls=Command)
@click.argument("path", metavar="BUNDLE", type=MODEL)
@section("Output")(
    "-o", "--output", "output", type=OUTPUT_FILE, required=True, help="File to write."
)
@section("Output")(
    "--to",
    "kind",
    type=click.Choice(["onnx", "pt2"]),
    required=True,
    help="ONNX, for other programs and TensorRT, or torch.export, for PyTorch.",
)
@section("Output")("--overwrite", is_flag=True, help="Replace an existing file.")
@section("Network")(
    "--N",
    "N",
    type=Whole(1, 4096),
    help="Pixels of the patterns.  [default: those of the training]",
)
@section("Network")(
    "--modes",
    type=Whole(1, 64),
    help="Number of probe modes.  [default: those of the bundle's probe]",
)
def export(
    path: Path, output: Path, kind: str, overwrite: bool, N: int | None, modes: int | None
) -> None:
    r"""Write the network of BUNDLE, with its physics, as one file for other programs.

    It takes any number of patterns and the probe, and returns a patch of the object for each
    pattern, all in real numbers.

    \b
    ptycho bundle export model --to onnx --N 128 -o network.onnx
    ptycho bundle export universal --to pt2 -o network.pt2
    """
    output_file(output, overwrite=overwrite, inputs=[path])
    made = require("pytorch").export(
        load_bundle(path), output, kind, N=N, modes=modes, overwrite=overwrite
    )
    for title, shapes in made.items():
        rows = [(name, " x ".join(map(str, shape)) or "scalar") for name, shape in shapes.items()]
        say(title, *table(rows).splitlines())
    say(f"{output}: {output.stat().st_size} bytes")
