"""``ptycho jobs``: what became of submitted scans."""

import json
from pathlib import Path

import click
from ptycho_core.batch import State
from ptycho_core.exit_codes import BELOW_QUALITY, FAILED, OK, worst_code
from ptycho_core.formatting import counted, format_number, table
from ptycho_data import jsonable

from ptycho_cli.cluster.states import LOST, Board, Entry
from ptycho_cli.console import say
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT

__all__ = ["jobs", "show_jobs"]

_CODES = {
    State.FAILED: FAILED,
    State.INTERRUPTED: FAILED,
    LOST: FAILED,
    State.BELOW_QUALITY: BELOW_QUALITY,
}


@click.command(cls=Command)
@click.argument("folder", type=INPUT)
@section("Output")("--json", "as_json", is_flag=True, help="Print one line of JSON for each scan.")
def jobs(folder: Path, as_json: bool) -> None:
    """Show the states of the scans that `ptycho submit` put into FOLDER.

    waiting, running, done, skipped (done before), below quality, failed, interrupted; lost: its
    process has gone without a word. Submitting again goes on with the last three. The exit code is
    1 if there is one of these.
    """
    code = show_jobs(Board(folder), as_json=as_json)
    if code != OK:
        raise click.exceptions.Exit(code)


def show_jobs(board: Board, *, as_json: bool = False) -> int:
    """Print the table, or lines of JSON; return the exit code."""
    entries = board.entries()
    code = worst_code(_CODES.get(entry.state, OK) for entry in entries)
    if as_json:
        for entry in entries:
            say(json.dumps(jsonable(entry.to_dict())))
        return code
    head = ("scan", "state", "attempts", "R over noise", "seconds", "task")
    say(*table([head, *map(_row, entries)], 0).splitlines())
    states = [entry.state for entry in entries]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    say(f"{counted(len(entries), 'scan')}: {counts}")
    for entry in entries:
        if _CODES.get(entry.state, OK) != OK:
            reason = str(entry.known.get("reason") or entry.state)
            say(f"{entry.name}: {reason} (log: {entry.log})")
    return code


def _row(entry: Entry) -> tuple[str, ...]:
    metrics = entry.known.get("metrics")
    ratio = metrics.get("r_over_noise") if isinstance(metrics, dict) else None
    numbers = (entry.known.get("attempts"), ratio, entry.known.get("seconds"))
    texts = [format_number(n) if isinstance(n, int | float) else "" for n in numbers]
    return (entry.name, entry.state, *texts, entry.task)
