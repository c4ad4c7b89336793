"""Messages of a run: verbosity, log lines and progress.

Results go to standard output, everything about the run to standard error. Names of files, arrays
and settings may come from anywhere, so both pass through `printable`; nothing else prints text.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import click
from attrs import define
from ptycho_config.log_format import time_stamp
from ptycho_config.plain_text import printable, printable_lines

__all__ = [
    "State",
    "allowed_color",
    "current_state",
    "log",
    "logging_to_stderr",
    "note",
    "progress",
    "say",
    "show_traceback",
    "tell",
]

log = logging.getLogger("ptycho_cli")


@define
class State:
    """Values of the common options, given before or after the command's name.

    Attributes
    ----------
    verbosity
        -2 errors only, -1 warnings too, 0 normal, 1 and more verbose.
    debug
        Whether an error shows its traceback.
    """

    verbosity: int = 0
    debug: bool = False


def current_state() -> State:
    """State of the running command, or a new one outside a command."""
    ctx = click.get_current_context(silent=True)
    return ctx.ensure_object(State) if ctx is not None else State()


class _StderrHandler(logging.Handler):
    """Write records of our packages at the chosen level, of others from WARNING on."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state

    def filter(self, record: logging.LogRecord) -> bool:
        ours = record.name.startswith("ptycho")
        if self.state.verbosity < -1:
            return record.levelno >= logging.ERROR
        if self.state.verbosity < 0 or not ours:
            return record.levelno >= logging.WARNING
        return record.levelno >= (logging.DEBUG if self.state.verbosity else logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and self.state.debug:
            show_traceback(record.exc_info[1])
        kind = record.levelname.lower() if record.levelno >= logging.WARNING else ""
        if record.name.startswith("ptycho"):
            tell(text, kind, timed=True)
        else:
            first, *rest = text.split("\n")  # frameworks warn in paragraphs
            tell(first, kind, timed=True)
            for line in rest:
                tell(line)


@contextmanager
def logging_to_stderr(state: State) -> Iterator[None]:
    """Send log records to standard error for the time of one command.

    Our loggers have no common parent, so the handler is attached to the root logger and the level
    of each of our packages is lowered; both are restored at the end.
    """
    handler = _StderrHandler(state)
    root = logging.getLogger()
    names = [
        f"ptycho_{part}" for part in ("cli", "config", "core", "data", "physics", "torch", "tf")
    ]
    levels = {name: logging.getLogger(name).level for name in (*names, "ptycho")}
    root.addHandler(handler)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def allowed_color() -> bool | None:
    """``color`` of :func:`click.echo`: never with ``NO_COLOR`` set, else as the stream allows."""
    return False if os.environ.get("NO_COLOR") else None


def say(*lines: str) -> None:
    """Print lines on standard output; a line break within one is shown escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for line in lines:
        shown = printable(line).encode(encoding, "backslashreplace")
        click.echo(shown.decode(encoding))


def tell(text: str, kind: str = "", *, color: str = "yellow", timed: bool = False) -> None:
    """Print one line on standard error, after its kind (``warning``); as `say`.

    Lines about the course of a run are ``timed``: where there is no terminal, with a time stamp.
    """
    start = click.style(f"{kind}: ", fg=color, bold=color == "red") if kind else ""
    stamp = time_stamp() if timed else ""
    with suppress(OSError):  # who closes the pipe or fills the disk of a log ends no work
        click.echo(stamp + start + printable(text), file=sys.stderr, color=allowed_color())


def show_traceback(error: BaseException | None) -> None:
    """Print a traceback on standard error.

    A message, or the name of a file, may have several lines: none may look like one of ours.
    """
    for part in traceback.format_exception(error):
        first, *rest = part.split("\n")
        lines = [line if not line or line[0] == " " else f"    {line}" for line in rest]
        click.echo(printable_lines("\n".join([first, *lines])), err=True, nl=False)


def note(text: str) -> None:
    """Log one line about the run (hidden by ``--quiet``)."""
    log.info(text)


def progress(total: int, label: str) -> AbstractContextManager[Callable[[int, str], None]]:
    """Return the display of `ptycho_core.progress.base`; it shows nothing if quiet.

    Parameters
    ----------
    total
        Number of steps.
    label
        Description of the work.
    """
    from ptycho_core.progress.base import no_progress, show_progress

    return (no_progress if current_state().verbosity < 0 else show_progress)(total, label)
