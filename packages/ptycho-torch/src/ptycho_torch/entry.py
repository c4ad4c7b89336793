"""Shared by the two module entry points: flags, logging and reporting of failures."""

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ptycho_config import current_flags, resolve_alias
from ptycho_physics import DivergenceError

INTERRUPTED = 130


class Deprecated(argparse.Action):
    """A deprecated flag: warns, and sets the option that replaces it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - argparse's signature
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the new option's value."""
        old = True if self.nargs == 0 else values
        name, value = resolve_alias(self.dest, old, shown_as=option_string)
        setattr(namespace, name, value)


class Parser(argparse.ArgumentParser):
    """Parser that also takes its flags in snake_case, with a warning."""

    def __init__(self, **settings: Any) -> None:
        self.flags: list[str] = []
        super().__init__(**settings)

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Add an argument, and remember its flags."""
        action = super().add_argument(*names, **settings)
        self.flags += action.option_strings
        return action

    def parse(self, arguments: Sequence[str] | None) -> dict[str, Any]:
        """Parse, and return the options that were given."""
        words = sys.argv[1:] if arguments is None else list(arguments)
        return vars(self.parse_args(current_flags(words, self.flags)))


def make_parser(program: str, description: str | None) -> Parser:
    """Return a parser that sets an attribute only for options that are given."""
    parser = Parser(
        prog=f"python -m {program}",
        description=description,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--accelerator", help="auto, cpu, gpu, cuda, tpu or mps")
    parser.add_argument("--device", action=Deprecated, help="deprecated: use --accelerator")
    parser.add_argument("--num-workers", type=int, help="processes that load data")
    parser.add_argument(
        "--n_images", dest="n_groups", type=int, help="groups of patterns to use (default: all)"
    )
    parser.add_argument("--quiet", action="store_true", default=False, help="warnings only")
    return parser


def run(
    work: Callable[[dict[str, Any]], None], parser: Parser, arguments: Sequence[str] | None
) -> int:
    """Parse, run, and turn failures into one line and an exit code.

    Returns
    -------
    int
        0, 1 when the work failed, 130 when it was interrupted; wrong usage exits with 2.
    """
    # Python shows deprecations only where __main__ itself triggers them: users should see ours.
    warnings.filterwarnings("default", category=DeprecationWarning, module="ptycho_torch")
    options = parser.parse(arguments)
    quiet = options.pop("quiet")
    options["enable_progress_bar"] = not quiet
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(message)s")
    try:
        work(options)
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"{interrupt or 'interrupted'}\n")
        return INTERRUPTED
    except (ValueError, OSError, RuntimeError, DivergenceError) as error:
        sys.stderr.write(f"{parser.prog}: error: {error}\n")
        return 1
    return 0
