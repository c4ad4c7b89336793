"""The report on a training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ptycho_data import Scan, read_patterns
from ptycho_data.plots import losses

from ptycho_core.analysis.verdict import file_name
from ptycho_core.report.drawings import curves, picture
from ptycho_core.report.elements import Content, block, element, page
from ptycho_core.report.facts import heading, made_of
from ptycho_core.report.judgement import cautions_list, cautions_of
from ptycho_core.report.patterns import pattern_view
from ptycho_core.report.probes import probe_pictures

__all__ = ["training_report"]

#: Scans that are shown, at most, and patterns that are averaged of each.
SCANS, AVERAGED = 4, 64
#: Why a training ended before all of its epochs.
_ENDS = {
    "plateau": "Early stopping ended it: the monitored loss did not get better any more.",
    "interrupted": "It was interrupted; ptycho train --resume continues it.",
}


def training_report(
    scans: Sequence[Scan],
    history: Mapping[str, Sequence[float]],
    *,
    record: Mapping[str, Any],
    kept: str,
    output: str,
) -> bytes:
    """Write the report on a training as a page of HTML that needs no other file.

    Parameters
    ----------
    scans
        That it was trained on, with the probes that it started from.
    history
        Losses of each epoch by their names.
    record
        Content of ``run.json``.
    kept
        Which epoch's weights were kept, and its loss.
    output
        Name of the folder of the model.
    """
    done = f"Trained, {record.get('epochs')} epochs"
    verdict = element(
        "div",
        element("strong", done),
        element("p", f"Weights kept: {kept}."),
        element("p", _ENDS[end]) if (end := str(record.get("stopped"))) in _ENDS else None,
        element("p", "Losses do not tell whether objects are right: reconstruct a scan and look at "
                     "its R-factor over photon noise."),
        cautions_list([str(c.get("text", "")) for c in cautions_of(record)]),
        class_="verdict",
    )  # fmt: skip
    names = ", ".join(file_name(scan) for scan in scans[:SCANS])
    more = len(scans) - SCANS
    title = f"{names} and {more} more" if more > 0 else names
    model = record.get("configuration", {}).get("model", {})
    return page(
        title,
        heading(record, f"network {model.get('architecture', '')}"),
        verdict,
        block("Losses", *_losses(history)),
        *(_scan(scan) for scan in scans[:SCANS]),
        *made_of(record, output),
    )


def _losses(history: Mapping[str, Sequence[float]]) -> list[Content]:
    main = losses(history)
    groups = {"Loss": main}
    groups |= {name: {name: values} for name, values in history.items() if name not in main}
    drawn = [
        curves(
            title,
            {name: (range(1, len(values) + 1), values) for name, values in lines.items()},
            ("epoch", "loss" if title == "Loss" else name_of(title)),
        )
        for title, lines in groups.items()
    ]
    return [element("div", *(part for part in drawn if part is not None), class_="grid")]


def name_of(loss: str) -> str:
    """Write the name of a loss with spaces."""
    return loss.replace("_", " ")


def _scan(scan: Scan) -> Content:
    chosen = np.unique(np.linspace(0, scan.n - 1, min(scan.n, AVERAGED)).astype(int))
    mean = read_patterns(scan.diffraction, chosen, np.float64).mean(axis=0)
    if scan.domain == "amplitude":
        mean = mean**2
    if scan.bad_pixels is not None:
        mean = np.where(scan.bad_pixels, np.nan, mean)
    view = pattern_view(mean, f"Mean of {len(chosen)} patterns", counted=scan.domain == "counts")
    size = f"{scan.n} patterns of {scan.N} x {scan.N} pixels"
    return block(
        file_name(scan),
        element("p", size, class_="soft"),
        element("div", picture(view), *probe_pictures(scan.probe[:1], scan.pixel_size_m),
                class_="grid"),
    )  # fmt: skip
