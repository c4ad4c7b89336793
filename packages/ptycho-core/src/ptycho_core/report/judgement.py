"""The verdict on a result, as the first thing of its report."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from ptycho_core.analysis.ring_correlation import CRITERIA, describe_resolution
from ptycho_core.analysis.verdict import DOUBTFUL_RATIO, OVERFITTED_RATIO, describe_fit
from ptycho_core.report.elements import element

__all__ = ["cautions_list", "cautions_of", "judgement", "resolution_of", "verdict_box"]


def judgement(metrics: Mapping[str, Any], codes: Sequence[str] = ()) -> tuple[str, str]:
    """Return how good a result is, as a word for its colour and as a sentence.

    Parameters
    ----------
    metrics
        Content of ``metrics.json``.
    codes
        Of the cautions.
    """
    ratio = metrics.get("r_over_noise")
    if "poor-fit" in codes:
        return "poor", "The patterns are explained badly"
    if not isinstance(ratio, int | float):
        return "unknown", "No verdict: the number of photons is unknown"
    if ratio < OVERFITTED_RATIO:
        return "fair", "Noise was fitted as well"
    if ratio <= DOUBTFUL_RATIO:
        return "good", "The patterns are explained up to their photon noise"
    return "fair", "The patterns are explained, but not up to their photon noise"


def cautions_of(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the cautions in ``run.json``."""
    found = record.get("cautions")
    listed = found if isinstance(found, list) else []
    return [caution for caution in listed if isinstance(caution, Mapping)]


def resolution_of(metrics: Mapping[str, Any] | None) -> str:
    """Write the resolution by the half-scan FRC in ``metrics.json``."""
    if metrics is None:
        return "not available"
    found = [
        f"{describe_resolution(dict(metrics), name) or 'none'} by {criterion}"
        for name, criterion in CRITERIA.items()
    ]
    return ", ".join(found)


def verdict_box(metrics: Mapping[str, Any], record: Mapping[str, Any]) -> Element:
    """Return verdict, figures of merit and cautions of a reconstruction."""
    cautions = cautions_of(record)
    colour, sentence = judgement(metrics, [str(c.get("code")) for c in cautions])
    lines = [f"{describe_fit(metrics)}, {record.get('patterns', '?')} patterns."]
    if "correlation" in metrics:
        lines.append(f"Correlation with the object in the scan {metrics['correlation']:.4f}.")
    if "half_scan_frc" in metrics:
        lines.append(f"Half-scan FRC: resolution {resolution_of(metrics['half_scan_frc'])}.")
    if metrics.get("stopped") in ("interrupted", "max_time"):
        lines.append("The run was stopped before its end; it can be continued.")
    return element(
        "div",
        element("strong", sentence),
        *(element("p", line) for line in lines),
        cautions_list([str(c.get("text", "")) for c in cautions]),
        class_=f"verdict {colour}",
    )


def cautions_list(texts: Sequence[str]) -> Element | None:
    """Return cautions as a list; None without any."""
    if not texts:
        return None
    return element("ul", *(element("li", text) for text in texts), class_="cautions")
