"""``ptycho stream``: reconstruct a scan while its patterns come."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve
from ptycho_config import InferenceConfig, PyTorchExecutionConfig
from ptycho_core.formatting import format_number
from ptycho_core.preparing.recipe import merge
from ptycho_core.streaming import Rules, StreamAddress
from ptycho_data.streams.replay import PROTOCOLS, replaying

from ptycho_cli.console import say
from ptycho_cli.layers import TRAINING_ONLY, gather, refusals_as_usage
from ptycho_cli.options import field_options
from ptycho_cli.recipes import given_recipe, recipe_options
from ptycho_cli.results import (
    fail_above_option,
    fail_if_above,
    pictures_option,
    report_option,
    summary,
    unwrap_option,
)
from ptycho_cli.sections import Command, section
from ptycho_cli.serving import serve_option
from ptycho_cli.values import ABOVE_ZERO, INPUT, MODEL, PATH, Number, Whole

if TYPE_CHECKING:
    from ptycho_core.live_page import Address

__all__ = ["stream"]

#: Options that `--help` shows.
BASIC = (
    "output resume overwrite source positions replay rate protocol serve recipe probe_file "
    "patterns x y unit centre size frames idle accelerator"
)
#: Settings of a recipe that need the files of a whole scan.
_OF_FILES = ("layout", "follow", "drop_last", "drop_first", "merge", "orientation", "first_probe")
#: Settings of the execution that have no meaning here: patterns are not read from a scan.
_OF_BATCHES = ("devices", "num_nodes", "strategy", "num_workers", "prefetch_factor", "pin_memory")
_SECONDS = Number(0, 1e7)
_output, _source, _end = section("Output"), section("Source"), section("End")


@recipe_options(skip=_OF_FILES)
@field_options(PyTorchExecutionConfig, skip=(*TRAINING_ONLY, *_OF_BATCHES))
@click.command("stream", cls=Command, basic=BASIC)
@click.argument("model", type=MODEL)
@_output("-o", "--output-dir", "output", type=PATH, required=True, help="Folder to write to.")
@_output(
    "--resume",
    is_flag=True,
    help="Go on with what an unfinished stream left in the folder; without --source, with that "
    "alone.",
)
@_output("--overwrite", is_flag=True, help="Replace results, or an unfinished stream.")
@serve_option
@_output(
    "--save-every",
    type=ABOVE_ZERO,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Save the object so often during the stream.",
)
@pictures_option
@unwrap_option
@report_option
@fail_above_option
@_source(
    "--source",
    metavar="KIND:ADDRESS",
    help="Where frames come from: dectris:tcp://HOST:31001, pva:PV, hdf5:FILE, folder:FOLDER.",
)
@_source(
    "--positions",
    metavar="KIND:ADDRESS",
    help="Where positions come from, if not with the frames: zmq:tcp://HOST:PORT, "
    "zmq-pull:tcp://HOST:PORT, panda:HOST#X,Y, pva:PV, hdf5:FILE, table:FILE.",
)
@_source(
    "--replay",
    type=INPUT,
    metavar="SCAN",
    help="Instead: a process of its own sends this scan, for a trial.",
)
@_source(
    "--rate",
    type=ABOVE_ZERO,
    default=1000.0,
    show_default=True,
    help="Frames a second of the replay.",
)
@_source(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="dectris",
    show_default=True,
    help="What the replay speaks; panda is dectris with positions of a PandA.",
)
@_source(
    "--queue",
    type=Whole(64, 100_000_000),
    default=8192,
    show_default=True,
    help="Patterns that may wait for the network. A source that can wait does so then; of others, "
    "the oldest patterns are put off, and done later from disk.",
)
@section("Model")(
    "--probe-file",
    type=INPUT,
    help="File of the probe, such as an earlier result; an installed model needs it.  "
    "[default: the model's; of an installed model, that of --replay]",
)
@section("Model")("--config", "config_file", type=INPUT, help="Settings (TOML, YAML or JSON).")
@section("Recipe")(
    "--recipe", type=INPUT, help="Make patterns as this TOML file of `ptycho prepare` says."
)
@_end(
    "--frames", type=Whole(1, 1 << 40), help="Number of frames, where the source does not say it."
)
@_end(
    "--first-number",
    "first",
    type=Whole(0, 1 << 40),
    default=0,
    show_default=True,
    help="Number of the first frame.",
)
@_end(
    "--stop-after-idle",
    "idle",
    type=_SECONDS,
    metavar="SECONDS",
    help="End when nothing has come for so long.",
)
@_end(
    "--patience",
    type=_SECONDS,
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for positions after the last frame.",
)
@click.pass_context
def stream(
    ctx: click.Context,
    /,
    model: Path,
    output: Path,
    resume: bool,
    overwrite: bool,
    serve: "Address | None",
    save_every: float,
    pictures: bool,
    unwrap: bool,
    report: bool,
    fail_above: float | None,
    source: str | None,
    positions: str | None,
    replay: Path | None,
    rate: float,
    protocol: str,
    queue: int,
    probe_file: Path | None,
    config_file: Path | None,
    recipe: Path | None,
    frames: int | None,
    first: int,
    idle: float | None,
    patience: float,
    **more: Any,
) -> None:
    r"""Reconstruct a scan with the trained network MODEL while its patterns come.

    MODEL is the file, the folder or the name of a model, such as `universal`.
    What comes is kept on disk at once, joined by the numbers of the frames, and added to the
    object. Ctrl-C ends the stream with its results: those of `ptycho infer`, and scan.npz with all
    patterns.

    \b
    ptycho stream model --replay scan.npz --rate 300 -o live --serve 8050
    ptycho stream universal --replay scan.npz --rate 100 -o live
    ptycho stream model --source dectris:tcp://DETECTOR:31001 --positions zmq:tcp://STAGE:5556 -o a
    ptycho stream model --source hdf5:run.h5 --patterns data --x sx --y sy --recipe line.toml -o b
    ptycho stream model --source 'pva:DET:Pva1:Image#MotorX,MotorY' --frames 900 --unit um -o c
    ptycho stream model -o live --resume
    """
    settled = given_recipe(recipe, more)
    if (source is None) == (replay is None) and not (resume and source is None):
        raise click.UsageError("give one of --source and --replay, or --resume without both")
    if positions is not None and source is None:
        raise click.UsageError("--positions needs --source")
    rules = Rules(expected=frames, first=first, idle=idle, patience=patience)
    layers = gather(ctx, InferenceConfig, config_file, {"model_path": model})

    from ptycho_core.live_page import live_page
    from ptycho_core.pretrained import is_installed
    from ptycho_core.streaming import StreamRun

    if probe_file is None and replay is not None and is_installed(model):
        probe_file = replay
    run = StreamRun(
        layers=layers,
        model=model,
        address=None if source is None else StreamAddress(source=source, positions=positions),
        output=output,
        recipe=settled,
        probe_file=probe_file,
        rules=rules,
        queue=queue,
        save_every=save_every,
        resume=resume,
        overwrite=overwrite,
        pictures=pictures,
        unwrap=unwrap,
        report=report,
    )
    with refusals_as_usage():
        run.check()
    with live_page(serve) as page, _sent(run, replay, protocol, rate) as run:
        run.page = page
        result = run.run()
        page.end("finished", "; ".join(result.report.lines()), result.path)
    told = result.report
    say(summary(result.path, result.metrics, told.patterns_per_second, told.patterns))
    say(*_course(result.report.latency_s, result.report.latency_99_s))
    say(*(f"  {line}" for line in result.report.lines()))
    fail_if_above(result.metrics, fail_above)


def _course(middle: float | None, most: float | None) -> list[str]:
    if middle is None or most is None:
        return []
    texts = (format_number(value) for value in (middle, most))
    return ["  from a pattern to the object: {} s, 99 of 100 within {} s".format(*texts)]


@contextmanager
def _sent(run: Any, scan: Path | None, protocol: str, rate: float) -> Iterator[Any]:
    """Send a scan in a process of its own, and receive it."""
    if scan is None:
        yield run
        return
    with (
        tempfile.TemporaryDirectory(prefix="ptycho-replay-") as folder,
        replaying(scan, protocol, rate, *_where(protocol, folder)) as replay,
    ):
        told = replay.told
        os.environ.update(told.get("environment", {}))
        given = {**told.get("names", {}), **{k: told[k] for k in ("unit",) if k in told}}
        address = StreamAddress(source=told["source"], positions=told.get("positions"))
        rules = evolve(run.rules, expected=run.rules.expected or told["expected"])
        run.address, run.rules, run.recipe = address, rules, merge(run.recipe, given)
        yield run


def _where(protocol: str, folder: str) -> tuple[str, ...]:
    return ("--where", folder) if protocol in ("hdf5", "folder") else ()
