"""``ptycho report``: results of earlier runs side by side."""

from pathlib import Path

import click

from ptycho_cli.console import say
from ptycho_cli.results import unwrap_option
from ptycho_cli.sections import Command, section
from ptycho_cli.values import INPUT, OUTPUT_FILE

__all__ = ["report"]


@click.command(cls=Command)
@click.argument("runs", metavar="RUN...", type=INPUT, nargs=-1, required=True)
@section("Output")("-o", "--output", type=OUTPUT_FILE, required=True, help="File to write (HTML).")
@section("Output")("--overwrite", is_flag=True, help="Replace an existing file.")
@unwrap_option
def report(runs: tuple[Path, ...], output: Path, overwrite: bool, unwrap: bool) -> None:
    r"""Compare the results in some folders RUN on one page.

    Figures of merit and the settings that differ stand side by side, and pictures of two runs blink
    at the same place, in the same colours. The page holds everything and opens from a file share.
    The report on a single run, report.html, is written by the run itself.

    \b
    ptycho report solved refined -o compare.html
    """
    from ptycho_core.report.comparing import compare_runs  # imports SciPy

    compare_runs(runs, output, unwrap=unwrap, overwrite=overwrite)
    say(f"{output}: {len(runs)} run{'s' * (len(runs) > 1)}")
