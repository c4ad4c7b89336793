"""The ``ptycho`` command: its list of commands and its way out."""

import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from ptycho_cli.__about__ import __version__
from ptycho_cli.console import State, allowed_color, logging_to_stderr
from ptycho_cli.errors import OK, report
from ptycho_cli.lazy import LazyGroup
from ptycho_cli.sections import common_params

__all__ = ["cli", "main"]

COMMANDS = {
    "demo": ("demo:demo", "Simulate a small scan, train, reconstruct: pictures in minutes."),
    "simulate": ("simulate:simulate", "Make a scan from an object, a probe and a scan pattern."),
    "inspect": ("inspect:inspect", "Show what is in a scan file and what to do with it."),
    "fixture": ("fixture:fixture", "Make a small scan for tests out of a large one."),
    "convert": ("convert:convert", "Write a scan in another format."),
    "train": ("train:train", "Train a network on a scan."),
    "infer": ("infer:infer", "Reconstruct a scan with a trained network."),
    "reconstruct": ("reconstruct:reconstruct", "Reconstruct a scan by iteration alone."),
    "evaluate": ("evaluate:evaluate", "Compare a reconstruction with a reference."),
    "bundle": ("bundle:bundle", "Look into a trained model."),
    "config": ("config:config", "Show settings and where they come from; schema, template."),
    "env": ("env:env", "Show versions, devices and backends."),
}


@click.group(
    cls=LazyGroup,
    lazy={k: (f"ptycho_cli.commands.{path}", text) for k, (path, text) in COMMANDS.items()},
    params=common_params(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command explains itself: ptycho COMMAND --help.",
)
@click.version_option(__version__, "-V", "--version", prog_name="ptycho")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """From a ptychographic scan to a picture, with physics-constrained neural networks."""
    ctx.with_resource(logging_to_stderr(ctx.ensure_object(State)))


def _telling_once() -> Callable[..., None]:
    """Make a replacement of `warnings.showwarning`: one line each, no line twice.

    Python's own memory of what it has shown is lost whenever anybody changes the filters.
    """
    told: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = " ".join(str(message).split())
        if text in told:
            return
        told.add(text)
        kind = "deprecated: " if issubclass(category, DeprecationWarning) else "warning: "
        click.echo(click.style(kind, fg="yellow") + text, err=True, color=allowed_color())

    return show


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: files put in order, one line, exit code 130.

    A handler of the program that calls us stays as it is, and so is one that a framework puts
    around ours while it trains: it ends its work itself.
    """

    def interrupt(*_: object) -> None:
        if signal.getsignal(signal.SIGTERM) is interrupt:
            raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    args
        Arguments after the program's name; those of the process by default.

    Returns
    -------
    int
        Exit code: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted.
    """
    state = State()
    with warnings.catch_warnings():
        warnings.showwarning = _telling_once()
        # Python hides deprecations from users: those of our options are meant for them.
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
