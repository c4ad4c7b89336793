"""``ptycho fixture``: extract a small test scan from a large one."""

import shlex
from pathlib import Path
from typing import Any

import click
from ptycho_core.outputs import output_file
from ptycho_data import Domain, load_scan, save_fixture

from ptycho_cli.console import say
from ptycho_cli.reading import given_reading, reading_options
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT, OUTPUT_FILE, Whole

__all__ = ["fixture"]


@click.command(cls=Command)
@click.argument("scan_file", metavar="[SOURCE]", type=INPUT, required=False)
@section("Choice")("--source", type=INPUT, help="The scan; another form of SOURCE.")
@section("Output")(
    "-o",
    "--output",
    type=OUTPUT_FILE,
    required=True,
    help="Scan file (NPZ) to write.",
)
@section("Output")(
    "--metadata-out",
    type=OUTPUT_FILE,
    help="JSON file for the origin and the SHA-256 of the output.  "
    "[default: the name of the output with .json]",
)
@section("Output")("--overwrite", is_flag=True, help="Replace existing files.")
@section("Choice")(
    "--subset-size",
    type=Whole(1),
    default=64,
    show_default=True,
    help="Patterns to keep, spread over the whole scan; a shorter scan is kept whole.",
)
@reading_options()
def fixture(
    scan_file: Path | None,
    source: Path | None,
    output: Path,
    metadata_out: Path | None,
    overwrite: bool,
    subset_size: int,
    domain: Domain | None,
    companion: Path | None,
    **reading: Any,
) -> None:
    r"""Extract a small scan for tests from SOURCE, a scan in any known format.

    The output is compressed, and reproducible byte for byte.

    \b
    ptycho fixture scan.npz -o small.npz
    ptycho fixture scan.h5 -o small.npz --subset-size 256
    """
    given = [path for path in (scan_file, source) if path is not None]
    if len(given) != 1:
        raise click.UsageError("name one scan: ptycho fixture SOURCE or --source SOURCE")
    source = given[0]
    sidecar = metadata_out or output.with_suffix(".json")
    for path in (output, sidecar):
        output_file(path, overwrite=overwrite, inputs=[source, companion])
    scan = load_scan(source, domain=domain, companion=companion, **given_reading(reading))
    words = ["ptycho", "fixture", source.name, "--output", output.name]
    words += ["--subset-size", str(subset_size)]
    stated = {
        "metadata-out": metadata_out and metadata_out.name,
        "domain": domain,
        "companion": companion and companion.name,
        **{name.replace("_", "-"): value for name, value in given_reading(reading).items()},
    }
    for name, value in stated.items():
        words += [] if value is None else [f"--{name}", *([] if value is True else [str(value)])]
    content = save_fixture(
        output,
        scan,
        subset_size,
        metadata_out=sidecar,
        command=shlex.join(words),
        overwrite=overwrite,
    )
    coverage = content["coverage"]
    say(
        f"{output}: {content['subset_size']} of {scan.n} patterns, spanning "
        f"{coverage['x']:.0%} of the scan in x and {coverage['y']:.0%} in y; {sidecar}"
    )
