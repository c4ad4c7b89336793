"""The ``ptycho`` command: its subcommands, signals and exit code."""

import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import click
from ptycho_core.exit_codes import EXIT_CODES, OK
from ptycho_core.threads import limit_threads, use_threads_sparingly

from ptycho_cli.__about__ import __version__
from ptycho_cli.console import State, allowed_color, logging_to_stderr, tell
from ptycho_cli.errors import report
from ptycho_cli.lazy import LazyGroup
from ptycho_cli.sections import common_params

__all__ = ["cli", "main"]

COMMANDS = {
    "demo": ("demo:demo", "Simulate a small scan, train and reconstruct, in minutes."),
    "simulate": ("simulate:simulate", "Simulate a scan of an object."),
    "inspect": ("inspect:inspect", "Show content of a scan file and recommended settings."),
    "prepare": (
        "prepare:prepare_command",
        "Make a scan of the files of an instrument.",
    ),
    "fixture": ("fixture:fixture", "Extract a small test scan from a large one."),
    "convert": ("convert:convert", "Convert a scan to another format."),
    "train": ("train:train", "Train a network on a scan."),
    "infer": ("infer:infer", "Reconstruct a scan with a trained network."),
    "reconstruct": ("reconstruct:reconstruct", "Reconstruct a scan with the iterative solver."),
    "watch": ("watch:watch", "Reconstruct every scan that arrives in a folder."),
    "stream": ("stream:stream", "Reconstruct a scan while its patterns come."),
    "submit": ("submit:submit", "Reconstruct many scans as tasks of a cluster."),
    "jobs": ("jobs:jobs", "Show the states of submitted scans."),
    "evaluate": ("evaluate:evaluate", "Compare a reconstruction with a reference."),
    "report": ("report:report", "Compare the results of several runs on one page."),
    "bundle": ("bundle:bundle", "Show, check or export a trained model."),
    "config": ("config:config", "Show settings and their origins; schema, template."),
    "env": ("env:env", "Show versions, devices and backends."),
}


def _epilog() -> str:
    codes = "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items())
    about = "Help on a command: ptycho COMMAND --help, on all its options: --help-all."
    return f"{about}\n\n\b\nExit codes:\n{codes}"


@click.group(
    cls=LazyGroup,
    lazy={k: (f"ptycho_cli.commands.{path}", text) for k, (path, text) in COMMANDS.items()},
    params=common_params(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_epilog(),
)
@click.version_option(__version__, "-V", "--version", prog_name="ptycho")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Reconstruct ptychographic scans with physics-constrained neural networks."""
    ctx.with_resource(logging_to_stderr(ctx.ensure_object(State)))


def _telling_once(state: State) -> Callable[..., None]:
    """Return a replacement of `warnings.showwarning`: one line per warning, without repetition.

    Python's own registry of shown warnings is reset whenever the filters change.
    """
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = " ".join(str(message).split())
        if text in shown or state.verbosity < -1:
            return
        shown.add(text)
        kind = "deprecated" if issubclass(category, DeprecationWarning) else "warning"
        tell(text, kind, timed=True)

    return show


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Make SIGTERM end a command like Ctrl-C: clean up, print one line, exit with code 130.

    SIGUSR1, which Slurm can send before the time of a job ends, does what SIGTERM does then.

    A handler of the calling program is kept, and so is one that a framework installs around
    ours while it trains, because it ends the training itself.
    """

    def interrupt(*_: object) -> None:
        if signal.getsignal(signal.SIGTERM) is interrupt:
            raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    free = signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    if free:
        signal.signal(signal.SIGUSR1, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if free:
            signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def _prepare_libraries(arguments: Sequence[str]) -> None:
    """Set threads before the command is known, whose module loads the numerical libraries."""
    if "submit" not in arguments:  # the environment goes to the tasks, which have other cores
        use_threads_sparingly()
    words = [word for argument in arguments for word in argument.split("=", 1)]
    number = next((b for a, b in pairwise(words) if a == "--threads"), "")
    if number.isdecimal() and int(number):  # anything else is refused later
        limit_threads(int(number))


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    args
        Arguments after the program's name; those of the process by default.

    Returns
    -------
    int
        Exit code, one of `ptycho_core.exit_codes`.
    """
    if args is None:
        _prepare_libraries(sys.argv[1:])
    state = State()
    with warnings.catch_warnings():
        warnings.showwarning = _telling_once(state)
        # Python hides deprecation warnings from users, who should see those of our options.
        warnings.filterwarnings(
            "always", category=DeprecationWarning, module=r"ptycho_(cli|core)\."
        )
        try:
            with _sigterm_as_ctrl_c():
                code = cli.main(
                    args, "ptycho", standalone_mode=False, obj=state, color=allowed_color()
                )
        except (Exception, KeyboardInterrupt) as error:
            return report(error, debug=state.debug)
    return code if isinstance(code, int) else OK


if __name__ == "__main__":
    sys.exit(main())
