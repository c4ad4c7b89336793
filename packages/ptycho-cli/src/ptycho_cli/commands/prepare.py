"""``ptycho prepare``: from the files of an instrument to a scan."""

from pathlib import Path
from typing import Any

import click
from ptycho_core.cautions import scan_cautions
from ptycho_core.outputs import output_file
from ptycho_core.preparing import Prepared, prepare, write_prepared
from ptycho_core.preparing_figure import quick_look, save_preparing_figure
from ptycho_core.preparing_start import find_start
from ptycho_core.recipe import Recipe, Setting, load_recipe, merge, save_recipe, settings
from ptycho_data import Scan, refuse_inputs
from ptycho_data.figures import require_matplotlib

from ptycho_cli.console import log, progress, say
from ptycho_cli.sections import Command, SectionOption, section
from ptycho_cli.values import INPUT, OUTPUT_FILE, Whole

__all__ = ["prepare_command"]

#: Options that `--help` shows.
BASIC = (
    "output overwrite recipe save_recipe patterns x y unit energy distance detector_pixel "
    "raster step centre size first_probe orientation"
)


def _option(setting: Setting) -> SectionOption:
    """Make the option of a setting of the recipe."""
    more: dict[str, Any] = {"help": setting.help, "default": None, "section": setting.section}
    if setting.kind == "switch":
        off = setting.flag.replace("--", "--no-", 1)
        return SectionOption([f"{setting.flag}/{off}", setting.name], **more)
    if setting.choices:
        return SectionOption(
            [setting.flag, setting.name], type=click.Choice(list(setting.choices)), **more
        )
    kind = Whole(1) if setting.kind == "whole" else click.STRING
    metavar = setting.metavar or None
    return SectionOption([setting.flag, setting.name], type=kind, metavar=metavar, **more)


def _recipe_options(command: click.Command) -> click.Command:
    command.params[0:0] = [_option(setting) for setting in settings()]
    return command


def _recipe(path: Path | None, values: dict[str, Any]) -> Recipe:
    """Return the recipe of the file, with what the command line says on top."""
    given = {name: value for name, value in values.items() if value is not None}
    return merge(Recipe() if path is None else load_recipe(path), given)


def _tell(prepared: Prepared, told: int = 0) -> int:
    """Print what was found, from some line on; returns the number of lines."""
    for line in prepared.remarks[told:]:
        say(f"  {line}")
    return len(prepared.remarks)


@_recipe_options
@click.command("prepare", cls=Command, basic=BASIC)
@click.argument("raw", type=INPUT, nargs=-1, required=True)
@section("Output")("-o", "--output", type=OUTPUT_FILE, required=True, help="NPZ file to write.")
@section("Output")("--overwrite", is_flag=True, help="Replace an existing file.")
@section("Output")(
    "--picture/--no-picture",
    default=True,
    help="Draw detector, probe, positions and a quick reconstruction.  [default: --picture]",
)
@section("Recipe")("--recipe", type=INPUT, help="Take settings from this TOML file.")
@section("Recipe")("--save-recipe", type=OUTPUT_FILE, help="Write the settings to this TOML file.")
def prepare_command(
    raw: tuple[Path, ...],
    output: Path,
    overwrite: bool,
    picture: bool,
    recipe: Path | None,
    save_recipe: Path | None,
    **values: Any,
) -> None:
    r"""Make a scan of the files RAW of an instrument or of another program.

    Layouts of NeXus, Dectris, NanoMAX, HXN, PtyLab, ptypy, fold_slice and py4DSTEM are recognised;
    in other files the datasets are named. The beam is found, patterns are cut out around it, and
    bad pixels are masked. Orientation and first probe are found from the patterns, unless they are
    given. Frames are read one after the other: files may be larger than memory.

    \b
    ptycho prepare scan_0042.h5 -o scan.npz
    ptycho prepare frames.h5 -o scan.npz --patterns /data --x pos.csv::0 --y pos.csv::1 --unit um
    ptycho prepare cube.h5 -o scan.npz --raster 40x40 --step 30nm --energy 300kV
    ptycho prepare scan_0043.h5 -o scan.npz --recipe beamline.toml
    """
    settled = _recipe(recipe, values)
    drawn = _beside(output) if picture else None
    for path in (output, save_recipe, drawn):
        if path is not None:
            output_file(path, overwrite=overwrite, inputs=[*raw, recipe])
    if picture:
        require_matplotlib()
    prepared = prepare(raw, settled)
    say(f"read {', '.join(path.name for path in raw)}")
    told = _tell(prepared)
    find_start(prepared)
    told = _tell(prepared, told)
    refuse_inputs(
        [path for path in (output, save_recipe, drawn) if path is not None], prepared.scan.files
    )
    with progress(prepared.scan.n, "writing") as update:
        scan = write_prepared(
            prepared, output, overwrite=overwrite, progress=lambda done: update(done, "")
        )
    _tell(prepared, told)
    for text in (*prepared.cautions, *(caution.text for caution in scan_cautions(scan))):
        log.warning(text)
    say(f"wrote {output}: {scan.n} patterns of {scan.N} x {scan.N}, {scan.domain}")
    if save_recipe is not None:
        _save(save_recipe, prepared, overwrite)
    if drawn is not None:
        _draw(drawn, prepared, scan, overwrite)
    result = output.with_suffix("")
    say(f"next: ptycho reconstruct {output} --update-probe -o {result}")


def _beside(output: Path) -> Path:
    """Return the name of the picture of an output."""
    named = output.with_suffix(".png")
    return output.with_name(f"{output.name}.png") if named == output else named


def _draw(path: Path, prepared: Prepared, scan: Scan, overwrite: bool) -> None:
    look = None if scan.probe_made else quick_look(scan)
    save_preparing_figure(scan, prepared.view, look, path, overwrite=overwrite)
    say(f"wrote {path}: {'no first probe yet' if look is None else look.describe()}")


def _save(path: Path, prepared: Prepared, overwrite: bool) -> None:
    save_recipe(path, prepared.recipe, overwrite=overwrite)
    say(f"wrote {path}: the recipe")
