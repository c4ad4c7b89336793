"""The report on a scan that was prepared from the files of an instrument."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ptycho_data import Scan, fixture_indices
from ptycho_data.views import View as Picture
from ptycho_data.views import reconstruction_views

from ptycho_core.preparing.preparation import View
from ptycho_core.preparing.quick_look import QuickLook
from ptycho_core.preparing.recipe import settings
from ptycho_core.record import ASKED, installed_versions
from ptycho_core.report.drawings import dots, picture
from ptycho_core.report.elements import Content, block, element, page, table
from ptycho_core.report.facts import made_of
from ptycho_core.report.judgement import cautions_list, judgement
from ptycho_core.report.patterns import brightness
from ptycho_core.report.probes import probe_pictures
from ptycho_core.report.rasters import reduced

__all__ = ["preparing_report"]

#: Longest sides of pictures of detector and object, and positions that are drawn, at most.
DETECTOR_SIDE, OBJECT_SIDE, POSITIONS = 512, 512, 2000


def preparing_report(
    scan: Scan,
    view: View | None,
    look: QuickLook | None,
    *,
    remarks: Sequence[str],
    cautions: Sequence[str],
    run: Mapping[str, Any],
    output: str,
) -> bytes:
    """Write the report on a prepared scan as a page of HTML that needs no other file.

    Parameters
    ----------
    scan
        The prepared scan.
    view
        Mean and bad pixels of the detector; None draws no pictures.
    look
        A first reconstruction of a part.
    remarks, cautions
        What was found and done, and doubts; one line each.
    run
        What it was made of: the record of its request.
    output
        Name of its file.
    """
    drawn: list[Content] = []
    if view is not None:
        probe = scan.probe if look is None or scan.probe_made else look.reconstruction.probe
        drawn = [
            None if look is None else _object(look, scan),
            block("Detector and positions", element(
                "div", _detector(view), _positions(scan), class_="grid")),
            block("Probe", element(
                "div", *probe_pictures(probe[:1], scan.pixel_size_m), class_="grid")),
        ]  # fmt: skip
    record = {**run, "versions": installed_versions()}
    asked = [
        (name, value if isinstance(value, str) else str(value))
        for name, value in run.get(ASKED, {}).items()
    ]
    return page(
        output,
        element("p", f"ptycho prepare · {scan.n} patterns of {scan.N} x {scan.N} pixels",
                class_="soft"),
        _verdict(scan, look, cautions),
        *drawn,
        block("What was found", *(element("p", line) for line in remarks)),
        block("To repeat it", element("pre", _command(run, output))),
        block("Settings", table(asked, ("setting", "value"))) if asked else None,
        *made_of(record, output),
    )  # fmt: skip


def _verdict(scan: Scan, look: QuickLook | None, cautions: Sequence[str]) -> Content:
    if look is None:
        made = "no first probe yet" if scan.probe_made else "the solver diverged"
        colour, sentence = "unknown", f"No quick reconstruction: {made}"
    else:
        codes = ["poor-fit"] if look.verdict.doubtful else []
        colour, sentence = judgement({**look.verdict.metrics}, codes)
    return element(
        "div",
        element("strong", sentence),
        None if look is None else element("p", f"{look.describe()}."),
        cautions_list(cautions),
        class_=f"verdict {colour}",
    )


def _object(look: QuickLook, scan: Scan) -> Content:
    rec = look.reconstruction
    amplitude, phase = reconstruction_views(rec, longest_side=OBJECT_SIDE)
    note = f"{look.patterns} patterns in the middle of the scan, a few passes of the solver"
    drawn = (picture(v, scan.pixel_size_m, scan.origin_m, note=note) for v in (phase, amplitude))
    return block("Quick reconstruction", element("div", *drawn, class_="grid"))


def _detector(view: View) -> Content:
    mean = np.where(view.bad, np.nan, view.mean.clip(0))
    if view.window.corner:
        mean = np.fft.fftshift(mean)
    shown = reduced(mean, DETECTOR_SIDE)
    height, width = (mean.shape[0] // len(shown) * length for length in shown.shape)
    row, column = view.window.start
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    corners = view.window.span * square + np.array([column - 0.5, row - 0.5])
    detector = Picture(
        image=np.ma.masked_invalid(np.log10(1 + shown)),
        title="Mean frame",
        label="log10(1 + mean)",
        limits=(0.0, float(np.log10(1 + brightness(mean) ** 2)) or 1.0),
        colours="inferno",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        outline=corners,
    )
    return picture(detector, note="the frame is what became a pattern; bad pixels have no colour")


def _positions(scan: Scan) -> Content:
    shown = fixture_indices(scan.positions, min(scan.n, POSITIONS))
    place: dict[str, Any] = {"pixel_size_m": scan.pixel_size_m, "origin_m": scan.origin_m}
    some = "" if len(shown) == scan.n else f"{len(shown)} of {scan.n} positions, "
    order = np.asarray(shown, np.float64)
    return dots("Positions", scan.positions[shown], order, "order", (0.0, max(scan.n - 1.0, 1.0)),
                **place, note=f"{some}coloured by their order")  # fmt: skip


def _command(run: Mapping[str, Any], output: str) -> str:
    names = [str(file.get("name", "")) for file in run.get("inputs", {}).values()]
    parts = ["ptycho", "prepare", *names, "-o", output]
    known = {setting.name: setting for setting in settings()}
    for name, value in run.get(ASKED, {}).items():
        if (setting := known.get(name)) is None:
            continue
        if setting.kind == "switch":
            parts.append(setting.flag if value else setting.flag.replace("--", "--no-", 1))
        else:
            parts += [setting.flag, str(value)]
    return shlex.join(parts)
