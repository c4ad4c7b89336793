"""What the two module entry points share: flags, logging, and how failures are told."""

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ptycho_config import resolve_alias

INTERRUPTED = 130


class Deprecated(argparse.Action):
    """A flag of older scripts: warns, and sets the option that replaces it."""

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


def make_parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose options leave no trace unless given."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=description,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--accelerator", help="auto, cpu, gpu, cuda, tpu or mps")
    parser.add_argument("--num-workers", type=int, help="processes that load data")
    parser.add_argument(
        "--n_images", dest="n_groups", type=int, help="groups of patterns to use (default: all)"
    )
    parser.add_argument("--quiet", action="store_true", default=False, help="warnings only")
    return parser


def run(work: Callable[[dict[str, Any]], None], parser: argparse.ArgumentParser, argv: Any) -> int:
    """Parse, work, and turn failures into one line and an exit code.

    Returns
    -------
    int
        0, 1 when the work failed, 130 when it was interrupted; wrong usage exits with 2.
    """
    # Python shows deprecations only where __main__ itself triggers them: users shall see ours.
    warnings.filterwarnings("default", category=DeprecationWarning, module="ptycho_torch")
    arguments: Sequence[str] | None = argv
    options = vars(parser.parse_args(arguments))
    quiet = options.pop("quiet")
    options["enable_progress_bar"] = not quiet
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(message)s")
    try:
        work(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"{parser.prog}: error: {error}\n")
        return 1
    return 0
