"""``ptycho submit``: scans as tasks of a cluster."""

import os
import time
from contextlib import suppress
from pathlib import Path

import click
from ptycho_core.exit_codes import OK
from ptycho_core.outputs import output_folder

from ptycho_cli.cluster.arguments import read_command
from ptycho_cli.cluster.states import HIDDEN, RUNNING, WAITING, Board
from ptycho_cli.cluster.submitting import Resources, submit_tasks
from ptycho_cli.commands.jobs import show_jobs
from ptycho_cli.console import say
from ptycho_cli.sections import Command, section
from ptycho_cli.values import PATH, Number, Whole

__all__ = ["submit"]

#: Seconds between two looks at the states.
PAUSE = 0.5


def _pairs(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equal, value = text.partition("=")
        if not (equal and name.replace("-", "").replace("_", "").isalnum() and value.isprintable()):
            raise click.BadParameter(f"NAME=VALUE expected, found {text!r}.", ctx, param)
        pairs[name.replace("-", "_")] = value
    return pairs


@click.command(cls=Command, context_settings={"allow_interspersed_args": False})
@click.argument("words", metavar="-- COMMAND ...", nargs=-1, required=True, type=click.UNPROCESSED)
@section("Input and output")(
    "-o", "--output-dir", "output", type=PATH, required=True, help="Folder of all results."
)
@section("Input and output")(
    "--name",
    metavar="PATTERN",
    help="Name of each result in it, of {stem}, {name}, {parent} and {number}.  [default: {stem}]",
)
@section("Cluster")(
    "--cluster",
    type=click.Choice(["slurm", "local"]),
    default="slurm",
    show_default=True,
    help="Where the tasks run; local: as processes of this computer.",
)
@section("Cluster")(
    "--parallel",
    type=Whole(1, 10_000),
    default=8,
    show_default=True,
    help="Tasks at a time.",
)
@section("Cluster")(
    "--time",
    "minutes",
    type=Whole(1, 100_000),
    default=60,
    show_default=True,
    metavar="MINUTES",
    help="Time of a task; one that needs more goes on in the queue, at most --retries times.",
)
@section("Cluster")(
    "--scans-per-task",
    type=Whole(1, 100_000),
    default=1,
    show_default=True,
    help="Scans of one task of Slurm, which starts the command once for all of them.",
)
@section("Cluster")(
    "--retries",
    type=Whole(0, 100),
    default=1,
    show_default=True,
    help="Further attempts for a scan that failed.",
)
@section("Cluster")("--cores", type=Whole(1, 1024), help="Cores of a task.")
@section("Cluster")("--gpus", type=Whole(1, 64), help="GPUs of a task.")
@section("Cluster")("--memory", type=Number(above=0), metavar="GB", help="Memory of a task.")
@section("Cluster")(
    "--slurm",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_pairs,
    help="Further option of sbatch, such as partition=gpu; may be repeated.",
)
@section("Cluster")("--wait", is_flag=True, help="Wait until all have ended, and show the table.")
@click.pass_context
def submit(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    output: Path,
    name: str | None,
    cluster: str,
    parallel: int,
    minutes: int,
    scans_per_task: int,
    retries: int,
    cores: int | None,
    gpus: int | None,
    memory: float | None,
    options: dict[str, str],
    wait: bool,
) -> None:
    r"""Submit infer, reconstruct, prepare or train, with its scans, as tasks of a cluster.

    Every scan gets a folder of its own in the output folder. The same command again submits what
    failed or was lost, and nothing that is done or waiting. `ptycho jobs FOLDER` shows the states.

    \b
    ptycho submit -o results --parallel 16 --time 30 -- infer model 'scans/*.npz' --refine 5
    ptycho submit -o solved --cluster local --parallel 2 --wait -- reconstruct a.npz b.npz
    ptycho jobs results
    """
    assert ctx.parent is not None  # noqa: S101 - it is a command of the group
    group = ctx.parent.command
    assert isinstance(group, click.Group)  # noqa: S101
    if name is not None and "{number" in name and (scans_per_task > 1 or cluster == "local"):
        raise click.UsageError("--name with {number} needs tasks of one scan")
    submitted = read_command(group, words, output, name)
    output_folder(output / HIDDEN, ["plan.json"], overwrite=True)
    wanted = Resources(
        cluster=cluster,
        parallel=parallel,
        minutes=minutes,
        scans_per_task=scans_per_task,
        cores=cores,
        gpus=gpus,
        memory_gb=memory,
        retries=retries,
        options=options,
    )
    scans, tasks = submit_tasks(submitted, output, wanted)
    total = len(submitted.jobs)
    if scans:
        say(f"{output}: {scans} of {total} scans submitted, tasks: {tasks}")
    else:
        say(f"{output}: nothing to submit, all {total} scans are done or on their way")
    if not wait:
        return
    board = Board(output)
    while any(entry.state in (WAITING, RUNNING) for entry in board.entries()):
        with suppress(ChildProcessError):  # of Slurm there are none
            os.waitpid(-1, os.WNOHANG)  # else a task that was killed would seem to be alive
        time.sleep(PAUSE)
    code = show_jobs(board)
    if code != OK:
        raise click.exceptions.Exit(code)
