"""Options of commands that train or reconstruct, and what ``--dry-run`` does."""

from typing import Protocol

from ptycho_cli.console import say
from ptycho_cli.layers import refusals_as_usage
from ptycho_cli.sections import section
from ptycho_cli.values import INPUT, PATH

__all__ = ["config_option", "dry_run_option", "output_option", "overwrite_option", "show_plan"]

_files = section("Input and output")

output_option = _files(
    "-o", "--output-dir", "output", type=PATH, required=True, help="Folder to write to."
)
config_option = _files(
    "--config",
    "config_file",
    type=INPUT,
    help="Configuration file (TOML, YAML or JSON); options take precedence.",
)
overwrite_option = _files("--overwrite", is_flag=True, help="Replace existing results.")
dry_run_option = _files(
    "--dry-run", is_flag=True, help="Read and check everything, print the memory needed, and stop."
)


class Planned(Protocol):
    """A run that has not begun."""

    def check(self) -> None:
        """Refuse settings that cannot work."""

    def plan(self) -> list[str]:
        """Read and check the scan, and say what the run would do."""


def show_plan(run: Planned) -> None:
    """Check a run and print its plan, for ``--dry-run``."""
    with refusals_as_usage():
        run.check()
    say(*run.plan())
