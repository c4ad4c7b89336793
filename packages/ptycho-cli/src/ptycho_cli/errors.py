"""Convert an exception to one or two lines and an exit code.

A `PtychoError` carries a message for people; the operating system raises OSError. These mean that
the work failed. Anything else is a bug, and is reported as an internal error.
"""

import os
import sys

import click
from ptycho_config.errors import PtychoError
from ptycho_config.plain_text import printable, shortened
from ptycho_core.exit_codes import FAILED, INTERRUPTED, USAGE, code_of

from ptycho_cli.console import show_traceback, tell

__all__ = ["report", "shorten"]

#: Longest line of an error message, in characters.
LINE_LIMIT = 1000


def shorten(text: str, lines: int = 2) -> str:
    """Shorten a message to at most ``lines`` lines, complete up to a reasonable length."""
    parts = [line.strip() for line in text.strip().splitlines() if line.strip()]
    head, tail = parts[: lines - 1], parts[lines - 1 :]
    folded = [*head, "; ".join(tail)] if tail else head
    return "\n".join(shortened(line, LINE_LIMIT) for line in folded)


def _os_message(error: OSError) -> str:
    if error.strerror and error.filename is not None:
        name = error.filename
        return f"{name if isinstance(name, int) else os.fsdecode(name)}: {error.strerror}"
    return str(error) or type(error).__name__


def _describe(error: BaseException) -> tuple[str, int]:
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx is not None else "ptycho"
        return f"{printable(error.format_message())}\nsee `{command} --help`", USAGE
    if isinstance(error, click.ClickException):
        return printable(error.format_message()), error.exit_code
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        # click's Abort comes from the KeyboardInterrupt, whose message may say how to resume.
        return str(error.__cause__ or error) or "interrupted", INTERRUPTED
    if isinstance(error, PtychoError):
        return str(error), code_of(error)
    if isinstance(error, OSError):
        return printable(_os_message(error)), FAILED
    if isinstance(error, MemoryError):
        return "out of memory; use fewer patterns or a smaller batch", FAILED
    kind = type(error).__name__
    first = f"internal error: {kind}: {printable(str(error))}"
    return f"{first}\nplease report it; --debug shows the traceback", FAILED


def report(error: BaseException, *, debug: bool = False) -> int:
    """Print an error on standard error.

    Parameters
    ----------
    error
        Exception that ended the command.
    debug
        Whether to print the traceback first.

    Returns
    -------
    int
        Exit code, one of `ptycho_core.exit_codes`.
    """
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show(sys.stderr)
        return USAGE
    if debug:
        show_traceback(error)
    text, code = _describe(error)
    if code == INTERRUPTED:
        tell(shortened(text, LINE_LIMIT))
        return code
    first, *rest = shorten(text).split("\n")
    tell(first or type(error).__name__, "error", color="red")
    for line in rest:
        tell(f"  {line}")
    return code
