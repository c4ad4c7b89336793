"""Shared by commands that reconstruct: output files, progress, summary line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptycho_config.errors import InvalidValueError
from ptycho_core.formatting import format_number
from ptycho_core.record import RUN_FILE
from ptycho_data import RESULT_FILES

from ptycho_cli.console import progress
from ptycho_cli.reading import ABOVE_ZERO
from ptycho_cli.sections import section

__all__ = ["OUTPUT_FILES", "fail_above_option", "fail_if_above", "solver_progress", "summary"]

#: Files that ``ptycho infer`` and ``ptycho reconstruct`` write.
OUTPUT_FILES = (*RESULT_FILES, RUN_FILE)


#: ``--fail-above``, for scripts.
fail_above_option = section("Output")(
    "--fail-above",
    type=ABOVE_ZERO,
    metavar="RATIO",
    help="Exit with code 1 if the R-factor is more than this many times that of photon noise.",
)


def fail_if_above(metrics: Mapping[str, Any], limit: float | None) -> None:
    """End a command with code 1 if a result, which is written by then, fits worse than wanted.

    Raises
    ------
    InvalidValueError
        The ratio is larger, or unknown.
    """
    if limit is None:
        return
    ratio = metrics.get("r_over_noise")
    if ratio is None:
        advice = "state the photons per pattern of these amplitudes"
        raise InvalidValueError("R-factor over photon noise", "known", "no photon scale", advice)
    if ratio > limit:
        advice = "the results are written"
        rule = f"at most {limit:g}, as --fail-above asks"
        raise InvalidValueError("R-factor over photon noise", rule, f"{ratio:.3g}", advice)


@contextmanager
def solver_progress(epochs: int, label: str) -> Iterator[Callable[[int, float], None]]:
    """Show the progress of the solver; yield its ``callback``."""
    with progress(epochs, label) as update:
        yield lambda epoch, r_factor: update(epoch, f"R-factor {r_factor:.4f}")


def summary(folder: Path, metrics: Mapping[str, Any], rate: float, patterns: int) -> str:
    """One line for the end of a reconstruction."""
    parts = []
    if metrics.get("r_factor") is not None:
        parts.append(f"R-factor {metrics['r_factor']:.4f}")
    if "r_over_noise" in metrics:
        parts[-1] += f" ({metrics['r_over_noise']:.2f} times photon noise alone)"
    if "correlation" in metrics:
        parts.append(f"correlation with objectGuess {metrics['correlation']:.4f}")
    parts.append(f"{patterns} patterns at {format_number(rate)} per second")
    return f"{folder}: {', '.join(parts)}"
