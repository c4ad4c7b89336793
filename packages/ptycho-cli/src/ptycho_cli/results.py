"""Shared by commands that reconstruct: output files, progress, summary line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptycho_core.formatting import format_number
from ptycho_core.record import RUN_FILE
from ptycho_data import RESULT_FILES

from ptycho_cli.console import progress

__all__ = ["OUTPUT_FILES", "solver_progress", "summary"]

#: Files that ``ptycho infer`` and ``ptycho reconstruct`` write.
OUTPUT_FILES = (*RESULT_FILES, RUN_FILE)


@contextmanager
def solver_progress(epochs: int, label: str) -> Iterator[Callable[[int, float], None]]:
    """Show the progress of the solver; yield its ``callback``."""
    with progress(epochs, label) as update:
        yield lambda epoch, r_factor: update(epoch, f"R-factor {r_factor:.4f}")


def summary(folder: Path, metrics: Mapping[str, Any], rate: float, patterns: int) -> str:
    """One line for the end of a reconstruction."""
    parts = [f"R-factor {metrics['r_factor']:.4f}"] if metrics.get("r_factor") is not None else []
    if "correlation" in metrics:
        parts.append(f"correlation with objectGuess {metrics['correlation']:.4f}")
    parts.append(f"{patterns} patterns at {format_number(rate)} per second")
    return f"{folder}: {', '.join(parts)}"
