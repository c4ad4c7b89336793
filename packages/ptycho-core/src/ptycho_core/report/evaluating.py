"""The report on a comparison with a reference."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import evolve
from ptycho_data.views import object_views
from ptycho_physics.metrics import Comparison

from ptycho_core.analysis.comparison import Box
from ptycho_core.analysis.evaluation_figure import difference_view
from ptycho_core.record import installed_versions
from ptycho_core.report.drawings import curves, picture
from ptycho_core.report.elements import Content, block, element, page, table
from ptycho_core.report.facts import made_of

__all__ = ["evaluation_report"]

#: Longest side of each of the six pictures.
SIDE = 400


def evaluation_report(
    comparison: Comparison,
    box: Box,
    rows: list[tuple[str, str]],
    *,
    pixel_size_m: float | None,
    run: Mapping[str, Any] | None,
    output: str,
) -> bytes:
    """Write the report on an evaluation as a page of HTML that needs no other file.

    Parameters
    ----------
    comparison, box, pixel_size_m
        Of the `ptycho_core.analysis.evaluation.Evaluation`.
    rows
        Figures of merit, as text.
    run
        What it was made of, if that is known.
    output
        Name of the folder of the evaluation.
    """
    corner = (float(box[0]), float(box[1]))
    ours = object_views(comparison.aligned, None, corner, ", reconstruction", longest_side=SIDE)
    theirs = object_views(comparison.reference, None, corner, ", reference", longest_side=SIDE)
    drawn: list[Content] = []
    for number in (1, 0):
        # both have the colours of the reference, so that differences in contrast show
        mine = evolve(ours[number], limits=theirs[number].limits, colours=theirs[number].colours)
        gap = difference_view(ours[number], theirs[number], circular=number == 1)
        drawn += [picture(view, pixel_size_m) for view in (mine, theirs[number], gap)]
    merit = dict(rows)
    ring = comparison.frc
    lines = {
        "FRC": (ring.frequency, ring.correlation),
        "half-bit": (ring.frequency, ring.half_bit),
        "0.5": (ring.frequency, np.full_like(ring.half_bit, 0.5)),
    }
    curve = curves("Fourier ring correlation", lines, ("cycles per pixel", "correlation"))
    record = dict(run or {})
    names = {role: file.get("name", "") for role, file in record.get("inputs", {}).items()}
    title = " against ".join(str(name) for name in names.values()) or "Evaluation"
    return page(
        title,
        element("p", "ptycho evaluate", class_="soft"),
        element(
            "div",
            element("strong", f"Complex correlation {merit['complex correlation']}"),
            element("p", "A shift and one complex factor are removed before the comparison."),
            class_="verdict",
        ),
        block("Objects", element("div", *drawn, class_="grid three")),
        block("Figures of merit", table([(name.strip(), text) for name, text in rows]), curve),
        *made_of({"versions": installed_versions(), **record}, output),
    )
