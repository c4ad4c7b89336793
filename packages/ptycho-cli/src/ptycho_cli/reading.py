"""Options of commands that read a scan file, for properties that the file may not state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from ptycho_data import Domain

from ptycho_cli.sections import section

__all__ = ["ABOVE_ZERO", "INPUT", "domain_option", "reading_options"]

INPUT = click.Path(path_type=Path, exists=True)
ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


def domain_option(title: str = "Input") -> Callable[[Any], Any]:
    """``--domain``, in the help section called `title`."""
    return section(title)(
        "--domain",
        type=click.Choice(get_args(Domain)),
        help="Whether patterns are counts or amplitudes, if the file does not state it.",
    )


def reading_options(pixel_title: str = "Input") -> Callable[[Any], Any]:
    """``--domain``, ``--companion`` and ``--pixel-size-m``, as `ptycho_data.load_scan` takes them.

    Parameters
    ----------
    pixel_title
        Help section of the pixel size.

    Returns
    -------
    Callable
        Decorator for a command's callback.
    """
    options = (
        domain_option(),
        section("Input")(
            "--companion",
            type=INPUT,
            help="Second file of a scan in two files, if it is in another folder.",
        ),
        section(pixel_title)(
            "--pixel-size-m", type=ABOVE_ZERO, help="Object pixel in metres; overrides the file."
        ),
    )

    def decorate(callback: Any) -> Any:
        for option in reversed(options):  # the last one given comes first in the help
            callback = option(callback)
        return callback

    return decorate
