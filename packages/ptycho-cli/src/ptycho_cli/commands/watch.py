"""``ptycho watch``: reconstruct every scan that arrives in a folder."""

import json
import time
from pathlib import Path
from typing import Any

import click
from ptycho_config import InferenceConfig
from ptycho_core.analysis.verdict import describe_fit
from ptycho_core.batch import Finished, Job
from ptycho_core.exit_codes import OK
from ptycho_core.formatting import table
from ptycho_core.preparing.recipe_files import load_recipe
from ptycho_core.solving.devices import ACCELERATORS
from ptycho_core.watching import (
    ANY_SCAN,
    LEDGER_FILE,
    PATIENCE,
    Arrivals,
    Attempt,
    Entry,
    FilePattern,
    Watch,
    read_ledger,
    scan_of,
)
from ptycho_data import jsonable

from ptycho_cli.batch import json_option
from ptycho_cli.console import note, say, tell
from ptycho_cli.layers import gather
from ptycho_cli.reading import given_reading, reading_options
from ptycho_cli.results import (
    fail_above_option,
    fail_if_above,
    pictures_option,
    report_option,
    unwrap_option,
)
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT, MODEL, PATH, Number, Whole
from ptycho_cli.watch_work import with_network, with_solver

__all__ = ["watch"]

#: Options that `--help` shows.
BASIC = "output recipe solver patterns trigger once retry fail_above refine_steps epochs as_json"


class _Pattern(click.ParamType[FilePattern]):
    """Names of files, with ``{scan}`` for the name of the scan."""

    name = "pattern"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> FilePattern:
        """Convert a text."""
        try:
            return value if isinstance(value, FilePattern) else FilePattern(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_SECONDS = Number(0, 1e7)
_arrival, _work, _end = section("Arrival"), section("Reconstruction"), section("End")


@click.command(cls=Command, basic=BASIC)
@click.argument("folder", type=INPUT)
@click.argument("model", type=MODEL, required=False)
@section("Output")(
    "-o", "--output-dir", "output", type=PATH, required=True, help="Folder to write to."
)
@json_option
@section("Output")(
    "--list", "listed", is_flag=True, help="Print what became of all scans so far, and end."
)
@pictures_option
@unwrap_option
@report_option
@_arrival(
    "--pattern",
    "patterns",
    type=_Pattern(),
    multiple=True,
    metavar="NAMES",
    help="Names of the files of a scan, with {scan} for its name; of a scan of several files, "
    "once for each kind, the frames first.  [default: files of known suffixes, each a scan]",
)
@_arrival(
    "--trigger",
    type=_Pattern(),
    metavar="NAME",
    help="Also wait for a file of this name, such as {scan}.done, before a scan is complete.",
)
@_arrival(
    "--settle",
    type=_SECONDS,
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="A scan is complete when its files have not changed for so long, and open.",
)
@_arrival(
    "--interval",
    type=Number(0.01, 86400),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Look into the folder so often.",
)
@_work("--recipe", type=INPUT, help="Prepare the files as this TOML file of `ptycho prepare` says.")
@_work("--solver", is_flag=True, help="Reconstruct with the iterative solver, without MODEL.")
@_work(
    "--config",
    "config_file",
    type=INPUT,
    help="With MODEL: settings of `ptycho infer` (TOML, YAML or JSON).",
)
@_work(
    "--refine",
    "refine_steps",
    type=Whole(0, 1_000_000),
    metavar="STEPS",
    help="With MODEL: refine the object with this many passes of the solver.",
)
@_work(
    "--epochs",
    type=Whole(1, 1_000_000),
    help="With --solver: maximum number of passes over a scan.  [default: 20]",
)
@_work(
    "--accelerator",
    type=click.Choice(ACCELERATORS),
    help="With --solver: NumPy, or PyTorch on a device; auto takes a GPU if it is worth it.  "
    "[default: auto]",
)
@_work("--update-probe", is_flag=True, help="With --solver: refine the probe as well.")
@_end("--once", is_flag=True, help="Do the scans that are complete, and end.")
@_end(
    "--stop-after-idle",
    "idle",
    type=_SECONDS,
    metavar="SECONDS",
    help="End when nothing has happened for so long.",
)
@_end("--retry", is_flag=True, help="Try scans again that failed earlier.")
@fail_above_option
@reading_options(skip=("--companion",))
@click.pass_context
def watch(
    ctx: click.Context,
    /,
    folder: Path,
    model: Path | None,
    output: Path,
    as_json: bool,
    listed: bool,
    pictures: bool,
    unwrap: bool,
    report: bool,
    patterns: tuple[FilePattern, ...],
    trigger: FilePattern | None,
    settle: float,
    interval: float,
    recipe: Path | None,
    solver: bool,
    config_file: Path | None,
    refine_steps: int | None,
    epochs: int | None,
    accelerator: str | None,
    update_probe: bool,
    once: bool,
    idle: float | None,
    retry: bool,
    fail_above: float | None,
    domain: Any,
    **reading: Any,
) -> None:
    r"""Reconstruct every scan that arrives in FOLDER, with the network in MODEL or the solver.

    Each scan has its results in a folder of its name below the output folder, where watch.jsonl
    lists what became of it. A scan is done once, also if the watch is interrupted, or killed, and
    started again; one that fails is left until its files change.

    \b
    ptycho watch incoming model --recipe beamline.toml -o results
    ptycho watch incoming --solver --update-probe -o results --once
    ptycho watch incoming model -o results --pattern '{scan}_master.h5' --pattern '{scan}.csv'
    """
    if not folder.is_dir():
        raise click.UsageError(f"FOLDER must be a folder, got the file {folder}")
    if folder.resolve() == output.resolve():
        raise click.UsageError(f"--output-dir must be another folder than FOLDER, got {output}")
    if listed:
        _list(output / LEDGER_FILE, as_json=as_json)
        return
    shown = {"pictures": pictures, "unwrap": unwrap, "report": report}
    if solver:
        _refuse({"MODEL": model, "--config": config_file, "--refine": refine_steps}, "without")
        settings = {"epochs": epochs or 20, "update_probe": update_probe}
        run = with_solver(settings, accelerator or "auto", **shown)
    else:
        if model is None:
            msg = "name a MODEL, such as universal, or give --solver for the iterative solver"
            raise click.UsageError(msg)
        named = {"--epochs": epochs, "--accelerator": accelerator}
        _refuse({**named, "--update-probe": update_probe or None}, "with")
        fixed = {"model_path": model, **({"domain": domain} if domain else {})}
        layers = gather(ctx, InferenceConfig, config_file, fixed)
        run = with_network(layers, model, refine_steps or 0, **shown)
    known_recipe = None if recipe is None else load_recipe(recipe)
    given = given_reading(reading) | ({"domain": domain} if solver and domain else {})

    def work(job: Job, attempt: Attempt) -> Finished:
        scan = scan_of(job.inputs, job.output, known_recipe)
        return run(scan, job.output, given if scan == job.scan else {}, attempt)

    watched = Watch(
        arrivals=Arrivals(
            folder=folder,
            patterns=patterns or (FilePattern(ANY_SCAN),),
            trigger=trigger,
            settle=settle,
            patience=0 if once else PATIENCE * settle,
            skipped=output.resolve(),
        ),
        output=output,
        work=work,
        judge=lambda finished: fail_if_above(finished.metrics, fail_above),
        interval=min(interval, settle) if once else interval,
        retry=retry,
        on_done=_json_line if as_json else _line,
    )
    try:
        code = watched.run(once=once, idle=idle)
    except KeyboardInterrupt as error:
        msg = f"stopped: {watched.summary}; the same command goes on from here"
        raise KeyboardInterrupt(msg) from error
    if code == OK:
        note(watched.summary)
    else:
        tell(f"{watched.summary}; see {output / LEDGER_FILE}", "error", color="red")
    ctx.exit(code)


def _refuse(given: dict[str, object], when: str) -> None:
    """Refuse options that do not apply."""
    for name, value in given.items():
        if value is not None:
            raise click.UsageError(f"{name} applies {when} --solver only")


def _json_line(entry: Entry) -> None:
    say(json.dumps(jsonable(entry.to_dict())))


def _line(entry: Entry) -> None:
    said = entry.reason or (describe_fit(entry.metrics) if entry.metrics else "")
    took = "" if entry.seconds is None else f", {entry.seconds:.1f} s"
    now = time.strftime("%Y-%m-%dT%H:%M:%S")  # as log lines
    say(f"{now} {entry.scan}: {entry.state}{f': {said}' if said else ''}{took}")


def _list(path: Path, *, as_json: bool) -> None:
    """Print the last line of each scan."""
    entries, _ = read_ledger(path)
    if as_json:
        for entry in entries.values():
            _json_line(entry)
        return
    if not entries:
        say(f"{path}: no scans yet")
        return
    say(*table((_row(entry) for entry in entries.values()), indent=0).splitlines())


def _row(entry: Entry) -> tuple[str, ...]:
    ratio = entry.metrics.get("r_over_noise")
    return (
        entry.scan,
        entry.state,
        entry.time,
        "" if ratio is None else f"{ratio:.2f} x noise",
        entry.reason,
    )
