"""``ptycho config``: the settings of a run, their schema, template and reference."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from ptycho_config import (
    InferenceConfig,
    Layer,
    ModelConfig,
    OptionSpec,
    PyTorchExecutionConfig,
    Resolved,
    RunFiles,
    TrainingConfig,
    json_schema,
    option_specs,
    reference_page,
    resolve_training,
    toml_template,
)
from ptycho_core.formatting import table
from ptycho_core.outputs import output_file
from ptycho_core.run_settings import resolve_with_bundle
from ptycho_data import atomic_path, load_bundle, probe_size, stated_photons

from ptycho_cli.console import note, say
from ptycho_cli.layers import gather
from ptycho_cli.options import field_options
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT, MODEL, PATH

__all__ = ["config", "reference_text"]


_output = section("Output")("-o", "--output", type=PATH, help="File to write; default: print.")
_overwrite = section("Output")("--overwrite", is_flag=True, help="Replace an existing file.")
_for = section("Content")(
    "--for",
    "command",
    type=click.Choice(["train", "infer"]),
    default="train",
    help="Command to write it for.  [default: train]",
)


@click.group()
def config() -> None:
    """Show the settings that a run would use, and list all settings."""


@config.command(cls=Command, short_help="Write a commented configuration file.")
@_for
@_output
@_overwrite
def template(command: str, output: Path | None, overwrite: bool) -> None:
    """Write a configuration file with every setting explained and commented out (TOML)."""
    cls = {"train": TrainingConfig, "infer": InferenceConfig}[command]
    _give(toml_template(cls), output, overwrite=overwrite)


@config.command(cls=Command, short_help="Write the JSON schema of configuration files.")
@_output
@_overwrite
def schema(output: Path | None, overwrite: bool) -> None:
    """Write the JSON schema of configuration files, for completion and checks in editors.

    Name it in the file: "$schema": "schema.json" in JSON and YAML, "#:schema schema.json" in TOML.
    """
    _give(json.dumps(json_schema(), indent=2) + "\n", output, overwrite=overwrite)


@config.command(cls=Command)
@_output
@_overwrite
def reference(output: Path | None, overwrite: bool) -> None:
    """Write the reference of all settings (Markdown)."""
    _give(reference_text(), output, overwrite=overwrite)


def reference_text() -> str:
    """Return the reference page, with a note about settings from a bundle."""
    notes = [
        "",
        "`ptycho infer` takes the model from the bundle and, unless set otherwise, its `backend`",
        "and `neighbor_count`. `ptycho config show` prints the settings that a run would use.",
        "",
        "[How it works](how-it-works.md) explains the settings of the model, and",
        "[Conventions](conventions.md) the units.",
    ]
    return "\n".join([reference_page().rstrip("\n"), *notes]) + "\n"


@field_options(
    TrainingConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    skip=("train_data_file", "model_path"),
)
@config.command(cls=Command, short_help="Show every setting and where it comes from.")
@click.argument("scan", type=INPUT, required=False)
@section("Input and output")(
    "--bundle", type=MODEL, help="Show the settings of `ptycho infer` with this bundle."
)
@section("Input and output")(
    "--config",
    "config_file",
    type=INPUT,
    help="Configuration file (TOML, YAML or JSON); options take precedence.",
)
@section("Input and output")("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(
    ctx: click.Context,
    /,
    scan: Path | None,
    bundle: Path | None,
    config_file: Path | None,
    as_json: bool,
    **_: Any,
) -> None:
    r"""Show every setting that a run would use, and its origin.

    Takes the options of `ptycho train`. N and the photons come from SCAN, whose patterns are not
    read.

    \b
    ptycho config show scan.npz --config settings.toml --gridsize 2
    ptycho config show scan.npz --bundle model
    """
    resolved = _resolve(ctx, scan, bundle, config_file)
    held: tuple[Any, ...] = (
        resolved.config.model,
        resolved.config,
        resolved.execution,
        resolved.files,
    )
    parts: dict[type, Any] = {type(part): part for part in held}
    settings = [
        (spec, getattr(part, spec.name))
        for cls, part in parts.items()
        for spec in option_specs(cls)
    ]
    origins = resolved.origins
    if as_json:
        click.echo(json.dumps({"configuration": resolved.to_dict(), "origins": origins}, indent=2))
    else:
        say(*_listing(settings, origins).splitlines())


def _resolve(
    ctx: click.Context, scan: Path | None, bundle: Path | None, config_file: Path | None
) -> Resolved[Any]:
    """Resolve the settings like `ptycho train` or, with a bundle, `ptycho infer`."""
    fixed: dict[str, object] = {}
    if bundle is not None:
        fixed["model_path"] = bundle
    if scan is not None:
        fixed["train_data_file" if bundle is None else "test_data_file"] = scan
    # Include all options of the command, so that those of the other kind of run are refused.
    layers = gather(ctx, TrainingConfig, config_file, fixed)
    if scan is not None:
        layers.append(_of_scan(scan, training=bundle is None))
    if bundle is None:
        return resolve_training(layers)
    return resolve_with_bundle(layers, load_bundle(bundle), str(bundle))


def _of_scan(scan: Path, *, training: bool) -> Layer:
    """Return the settings that follow from the headers of a scan."""
    data: dict[str, object] = {"N": probe_size(scan)}
    photons = stated_photons(scan) if training else None
    if photons is not None:
        data["nphotons"] = photons
    return Layer("data", data, str(scan))


def _listing(settings: list[tuple[OptionSpec, object]], origins: Mapping[str, str]) -> str:
    """Format name, value and origin as a table, with a heading for each class."""
    rows: list[tuple[str, str, str]] = []
    group = ""
    for spec, value in settings:
        if spec.group != group:
            group = spec.group
            rows.append((f"[{group.lower()}]", "", ""))
        rows.append((f"  {spec.name}", spec.default_text(value), origins[spec.name]))
    return table(rows, indent=0)


def _give(text: str, output: Path | None, *, overwrite: bool) -> None:
    """Print a text, or write it to a file."""
    if output is None:
        click.echo(text, nl=False)
        return
    output_file(output, overwrite=overwrite)
    with atomic_path(output, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")
    note(f"{output}: written")
