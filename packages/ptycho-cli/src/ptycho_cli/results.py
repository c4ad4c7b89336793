"""What the commands say about a reconstruction besides the files that every backend writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptycho_data import RESULT_FILES, Reconstruction, Scan

from ptycho_cli.comparison import Placed, compare_placed, metrics_of
from ptycho_cli.console import note, plain
from ptycho_cli.record import RUN_FILE

__all__ = ["OUTPUT_FILES", "reference_metrics", "summary"]

#: All that ``ptycho infer`` and ``ptycho reconstruct`` write.
OUTPUT_FILES = (*RESULT_FILES, RUN_FILE)


def reference_metrics(rec: Reconstruction, scan: Scan) -> dict[str, Any]:
    """Figures against the scan's own ``objectGuess``; empty where it has none.

    A reference that cannot be compared (too small, elsewhere) is no reason to lose a finished
    reconstruction: it is logged.
    """
    if scan.object_guess is None:
        return {}
    reference = Placed(name="objectGuess", values=scan.object_guess)
    try:
        return metrics_of(*compare_placed(Placed.of(rec), reference))
    except ValueError as error:
        note(f"no comparison with objectGuess: {error}")
        return {}


def summary(folder: Path, metrics: Mapping[str, Any], rate: float, patterns: int) -> str:
    """One line for the end of a reconstruction."""
    parts = [f"R-factor {metrics['r_factor']:.4f}"] if metrics.get("r_factor") is not None else []
    if "correlation" in metrics:
        parts.append(f"correlation with objectGuess {metrics['correlation']:.4f}")
    parts.append(f"{patterns} patterns at {plain(rate)} per second")
    return f"{folder}: {', '.join(parts)}"
