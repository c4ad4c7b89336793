"""``ptycho prepare``: from the files of an instrument to a scan."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from attrs import evolve
from ptycho_config.errors import PtychoError
from ptycho_core.batch import Finished, Job, Outcome
from ptycho_core.batch.jobs import matching
from ptycho_core.cautions import scan_cautions
from ptycho_core.outputs import output_file
from ptycho_core.preparing.figure import save_preparing_figure
from ptycho_core.preparing.preparation import Prepared, prepare
from ptycho_core.preparing.quick_look import QuickLook, quick_look
from ptycho_core.preparing.recipe_files import save_recipe as write_recipe
from ptycho_core.preparing.start import find_start
from ptycho_core.preparing.writing import is_prepared, request_of, write_prepared
from ptycho_core.sparing import sparing_results
from ptycho_data import Scan, atomic_path, refuse_inputs
from ptycho_data.figures import require_matplotlib

from ptycho_cli.batch import Batch, batch_options
from ptycho_cli.console import log
from ptycho_cli.recipes import given_recipe, recipe_options
from ptycho_cli.results import report_option
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT, OUTPUT_FILE, PATH, SCAN

__all__ = ["prepare_command"]

#: Options that `--help` shows.
BASIC = (
    "output overwrite recipe save_recipe patterns x y unit energy distance detector_pixel "
    "raster step centre size first_probe orientation "
    "each skip_done keep_going"
)


@recipe_options()
@click.command("prepare", cls=Command, basic=BASIC)
@click.argument("raw", metavar="RAW...", type=SCAN, nargs=-1, required=True)
@section("Output")(
    "-o",
    "--output",
    type=PATH,
    required=True,
    help="NPZ file to write; with --each, the folder for one file of each scan.",
)
@section("Output")("--overwrite", is_flag=True, help="Replace an existing file.")
@section("Output")(
    "--picture/--no-picture",
    default=True,
    help="Draw detector, probe, positions and a quick reconstruction.  [default: --picture]",
)
@report_option
@section("Recipe")("--recipe", type=INPUT, help="Take settings from this TOML file.")
@section("Recipe")("--save-recipe", type=OUTPUT_FILE, help="Write the settings to this TOML file.")
@section("Many scans")(
    "--each", is_flag=True, help="Each RAW is a scan of its own, not all of them together one scan."
)
@batch_options
def prepare_command(
    raw: tuple[Path, ...],
    output: Path,
    overwrite: bool,
    picture: bool,
    report: bool,
    recipe: Path | None,
    save_recipe: Path | None,
    each: bool,
    **more: Any,
) -> None:
    r"""Make a scan of the files RAW of an instrument or of another program.

    Layouts of NeXus, Dectris, NanoMAX, HXN, PtyLab, ptypy, fold_slice and py4DSTEM are recognised;
    in other files the datasets are named. Frames may also be TIFF, EDF or CBF files, or the folder
    of such a series. The beam is found, patterns are cut out around it, and bad pixels are masked.
    Orientation and first probe are found from the patterns, unless they are given. Frames are read
    one after the other: files may be larger than memory.

    \b
    ptycho prepare scan_0042.h5 -o scan.npz
    ptycho prepare frames.h5 -o scan.npz --patterns /data --x pos.csv::0 --y pos.csv::1 --unit um
    ptycho prepare cube.h5 -o scan.npz --raster 40x40 --step 30nm --energy 300kV
    ptycho prepare scan_0043.h5 -o scan.npz --recipe beamline.toml
    ptycho prepare 'raw/*.h5' --each -o scans --recipe beamline.toml --skip-done --keep-going
    """
    settled = given_recipe(recipe, more)
    batch = _planned(raw, output, each, more)
    if save_recipe is not None and not batch.single:
        msg = "--save-recipe needs a single scan, whose settings it writes"
        raise click.UsageError(msg)

    def written(job: Job) -> list[Path]:
        paths = [job.output, save_recipe, _beside(job.output, ".png") if picture else None]
        paths.append(_beside(job.output, ".html") if report else None)
        return [path for path in paths if path is not None]

    #: Scans that are there as asked, while files beside them are not: of a killed run.
    begun: set[Path] = set()

    def replaces(job: Job) -> bool:
        return overwrite or job.output in begun

    def check(job: Job) -> None:
        for path in written(job):
            output_file(path, overwrite=replaces(job), inputs=[*job.inputs, recipe])

    def work(job: Job) -> Finished:
        check(job)
        request = request_of(job.inputs, settled)
        prepared = prepare(job.inputs, settled)
        batch.tell(job, f"read {_named(job.inputs)}")
        told = _tell(batch, job, prepared)
        find_start(prepared)
        told = _tell(batch, job, prepared, told)
        refuse_inputs(written(job), prepared.scan.files)
        run = request.record()
        with batch.progress(job)(prepared.scan.n, "writing") as update:
            scan = write_prepared(
                prepared,
                job.output,
                overwrite=replaces(job),
                progress=lambda done: update(done, ""),
                run=run,
            )
        _tell(batch, job, prepared, told)
        for text in (*prepared.cautions, *(caution.text for caution in scan_cautions(scan))):
            log.warning(text)
        what = f"{scan.n} patterns of {scan.N} x {scan.N}, {scan.domain}"
        batch.tell(job, f"wrote {job.output}: {what}")
        if save_recipe is not None:
            write_recipe(save_recipe, prepared.recipe, overwrite=replaces(job))
            batch.tell(job, f"wrote {save_recipe}: the recipe")
        look = quick_look(scan) if picture and not scan.probe_made else None
        if picture:
            path = _beside(job.output, ".png")
            save_preparing_figure(scan, prepared.view, look, path, overwrite=replaces(job))
            batch.tell(job, f"wrote {path}: {_described(look)}")
        if report:
            path = _beside(job.output, ".html")
            _report(path, prepared, scan, look, run, pictures=picture, overwrite=replaces(job))
            batch.tell(job, f"wrote {path}: the report")
        result = job.output.with_suffix("")
        switches = "--update-probe" if look is None else look.switches
        batch.tell(job, f"next: ptycho reconstruct {job.output} {switches} -o {result}")
        return Finished(patterns=scan.n)

    def done(job: Job) -> Finished | None:
        there = is_prepared(job.output, request_of(job.inputs, settled), overwrite=overwrite)
        if not there:
            return None
        if all(path.exists() for path in written(job)):
            return Finished()
        begun.add(job.output)
        return None

    batch.check(check)
    if picture:
        require_matplotlib()
    batch.run(
        work,
        done=done,
        columns={"patterns": _patterns},
    )


def _planned(raw: tuple[Path, ...], output: Path, each: bool, more: dict[str, Any]) -> Batch:
    """Plan one scan of all files, or one of each."""
    if each:
        pattern = more["name"] or "{stem}"  # the output is a folder, even for one scan
        return Batch.of(raw, output, {**more, "name": pattern}, suffix=".npz")
    if more["name"] is not None:
        msg = "--name needs --each: several files RAW are one scan without it"
        raise click.UsageError(msg)
    try:
        files = matching(raw)
    except PtychoError as error:
        raise click.UsageError(str(error)) from error
    batch = Batch.of(files[:1], output, more)
    return evolve(batch, jobs=[evolve(batch.jobs[0], inputs=tuple(files))])


def _patterns(outcome: Outcome) -> str:
    patterns = outcome.finished.patterns
    return "" if patterns is None else str(patterns)


def _tell(batch: Batch, job: Job, prepared: Prepared, told: int = 0) -> int:
    """Print what was found, from some line on; returns the number of lines."""
    batch.tell(job, *(f"  {line}" for line in prepared.remarks[told:]))
    return len(prepared.remarks)


def _named(paths: Sequence[Path]) -> str:
    """Name files, of a long series the first ones."""
    names = [path.name for path in paths]
    few = ", ".join(names[:3])
    return ", ".join(names) if len(names) < 5 else f"{few} and {len(names) - 3} more"


def _beside(output: Path, suffix: str) -> Path:
    """Return the name of the picture or report of an output."""
    named = output.with_suffix(suffix)
    return output.with_name(f"{output.name}{suffix}") if named == output else named


def _described(look: QuickLook | None) -> str:
    return "no first probe yet" if look is None else look.describe()


def _report(
    path: Path,
    prepared: Prepared,
    scan: Scan,
    look: QuickLook | None,
    run: dict[str, Any],
    *,
    pictures: bool,
    overwrite: bool,
) -> None:
    """Write the report; a failure is a warning, since the scan is there."""
    from ptycho_core.report.preparing import preparing_report

    with sparing_results("no report"):
        page = preparing_report(
            scan,
            prepared.view if pictures else None,
            look,
            remarks=prepared.remarks,
            cautions=[*prepared.cautions, *(caution.text for caution in scan_cautions(scan))],
            run=run,
            output=path.with_suffix(".npz").name,
        )
        with atomic_path(path, overwrite=overwrite) as temporary:
            temporary.write_bytes(page)
