"""Shared by commands that reconstruct: the limit for scripts, summary lines."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ptycho_core.exit_codes import BelowQualityError
from ptycho_core.formatting import format_number

from ptycho_cli.sections import section
from ptycho_cli.values import ABOVE_ZERO

__all__ = [
    "fail_above_option",
    "fail_if_above",
    "held_out_summary",
    "pictures_option",
    "report_option",
    "resolution_summary",
    "summary",
    "tiff_option",
    "uncertainty_option",
    "uncertainty_summary",
    "unwrap_option",
]

#: ``--fail-above``, for scripts.
fail_above_option = section("Output")(
    "--fail-above",
    type=ABOVE_ZERO,
    metavar="RATIO",
    help="Exit with code 4 if the R-factor is more than this many times that of photon noise.",
)
#: ``--no-pictures``: drawing takes longer than small reconstructions.
pictures_option = section("Output")(
    "--pictures/--no-pictures",
    default=True,
    help="Draw the object.  [default: --pictures]",
)
#: ``--no-report``, of every command that writes results.
report_option = section("Output")(
    "--report/--no-report",
    default=True,
    help="Write a report for people, one HTML file with everything.  [default: --report]",
)
#: ``--tiff``
tiff_option = section("Output")(
    "--tiff", is_flag=True, help="Also write amplitude and phase as TIFF, for ImageJ."
)
#: ``--unwrap``, of every command that draws an object.
unwrap_option = section("Output")(
    "--unwrap",
    is_flag=True,
    help="Draw the phase without jumps of 2 pi, for thick samples; the object stays as it is.",
)


def uncertainty_option(part: str) -> Callable[[Any], Any]:
    """Return ``--uncertainty`` in a section of the help."""
    return section(part)(
        "--uncertainty",
        is_flag=True,
        help="Also estimate the standard error of every pixel, from halves of the scan and a "
        "simulated repetition of it. Takes several times as long.",
    )


def fail_if_above(metrics: Mapping[str, Any], limit: float | None) -> None:
    """Refuse a result that fits worse than wanted; it is already written.

    Raises
    ------
    BelowQualityError
        The ratio is larger, or unknown.
    """
    if limit is None:
        return
    ratio = metrics.get("r_over_noise")
    if ratio is None:
        advice = "state the photons per pattern of these amplitudes"
        raise BelowQualityError("R-factor over photon noise", "known", "no photon scale", advice)
    if not ratio <= limit:  # nor is NaN good
        advice = "the results are written"
        rule = f"at most {limit:g}, as --fail-above asks"
        raise BelowQualityError("R-factor over photon noise", rule, f"{ratio:.3g}", advice)


def summary(folder: Path, metrics: Mapping[str, Any], rate: float, patterns: int) -> str:
    """One line for the end of a reconstruction."""
    from ptycho_core.analysis.verdict import describe_fit  # imports SciPy

    parts = [describe_fit(metrics)]
    if "correlation" in metrics:
        parts.append(f"correlation with objectGuess {metrics['correlation']:.4f}")
    parts.append(f"{patterns} patterns at {format_number(rate)} per second")
    return f"{folder}: {', '.join(parts)}"


def held_out_summary(metrics: Mapping[str, Any]) -> str:
    """Return one line about the patterns that were not used."""
    found = metrics["held_out"]
    return (
        f"held out: {found['patterns']} patterns, R-factor {found['r_factor']:.4f}, deviance "
        f"{found['deviance']:.3f} per pixel, best after epoch {found['best_epoch']}"
    )


def resolution_summary(metrics: Mapping[str, Any] | None) -> str:
    """Return one line about the resolution by the half-scan FRC."""
    from ptycho_core.analysis.ring_correlation import CRITERIA, describe_resolution

    if metrics is None:
        return "half-scan FRC: not available"
    texts = []
    for name, criterion in CRITERIA.items():
        resolution = describe_resolution(dict(metrics), name)
        texts.append(f"{resolution} by {criterion}" if resolution else f"none by {criterion}")
    return f"half-scan FRC: resolution {', '.join(texts)}"


def uncertainty_summary(metrics: Mapping[str, Any] | None) -> str:
    """Return one line about the standard errors."""
    from ptycho_core.uncertainty.estimate import describe_uncertainty

    return describe_uncertainty(metrics)
