"""Runs side by side, with pictures that blink."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from attrs import evolve
from ptycho_config.errors import InvalidValueError
from ptycho_data import Reconstruction, result_set
from ptycho_data.views import ScannedArea, View, object_views

from ptycho_core.outputs import output_set
from ptycho_core.report.drawings import curves, picture
from ptycho_core.report.elements import Content, block, element, page, table
from ptycho_core.report.facts import settings_of
from ptycho_core.report.judgement import cautions_of, judgement, resolution_of
from ptycho_core.report.runs import EarlierRun, read_run

__all__ = ["MOST_RUNS", "compare_runs", "comparison_page"]

#: Runs on one page, at most, and bytes of all of their pictures, about.
MOST_RUNS, PICTURE_BYTES = 12, 1_900_000
#: Longest side of a picture.
LONGEST_SIDE = 640
#: Objects further apart are no runs of one scan, pixels on a side of the frame of all.
LARGEST_FRAME = 20_000


def compare_runs(
    folders: Sequence[Path], output: Path, *, unwrap: bool = False, overwrite: bool = False
) -> None:
    """Write a page that shows the results in some folders side by side.

    Parameters
    ----------
    folders
        Of reconstructions, at most 12.
    output
        The file to write.
    unwrap
        Show the phases without jumps of 2 pi.
    overwrite
        Replace it.

    Raises
    ------
    InvalidValueError
        There are too many, they lie too far apart, or the file belongs to other results.
    ReconstructionError, ResultSetError
        A folder holds no whole reconstruction.
    OutputExistsError
        The file exists, and `overwrite` is not set.
    MissingPackageError
        Phases are to be unwrapped, and scikit-image is not installed.
    """
    if not 1 <= len(folders) <= MOST_RUNS:
        raise InvalidValueError("runs", f"1 to {MOST_RUNS} folders", f"{len(folders)}")
    names = [output.name]
    output_set(output.parent, None, names, overwrite=overwrite, inputs=folders)
    text = comparison_page([read_run(folder) for folder in folders], unwrap=unwrap)
    with result_set(output.parent, overwrite=overwrite, names=names) as place:
        (place / output.name).write_bytes(text)


def comparison_page(runs: Sequence[EarlierRun], *, unwrap: bool = False) -> bytes:
    """Return the page about some runs, each of which keeps its colours in all pictures."""
    side = int(math.sqrt(PICTURE_BYTES / (2 * 4 / 3 * len(runs))))
    views = _views(runs, min(side, LONGEST_SIDE), unwrap=unwrap)
    names = _names(runs)
    return page(
        f"{len(runs)} runs" if len(runs) > 1 else names[0],
        _same_scan(runs),
        block("Figures", _figures(runs, names)),
        block("Pictures", _pictures(runs, names, views)),
        block("Curves", _curves(runs, names)),
        block("Settings that differ", _differences(runs, names)),
        script="blink.js" if len(runs) > 1 else "",
    )


def _names(runs: Sequence[EarlierRun]) -> list[str]:
    """Name every run by its folder, with a number where names repeat."""
    plain = [run.name for run in runs]
    return [
        f"{name} ({number})" if plain.count(name) > 1 else name
        for number, name in enumerate(plain, start=1)
    ]


def _same_scan(runs: Sequence[EarlierRun]) -> Element:
    """Say whether the runs are of one scan, by the hashes of their inputs."""
    found = set()
    for run in runs:
        inputs = run.record.get("inputs", {})
        scan = inputs.get("test_data_file") or inputs.get("scan") or {}
        found.add(scan.get("sha256"))
    if None in found:
        text = "Not every run records the file of its scan."
    elif len(found) == 1:
        text = "All runs are of one scan, by the hash of its file."
    else:
        text = "The runs are of several scans: places and figures may not be comparable."
    return element("p", text, class_="soft")


def _common_area(runs: Sequence[EarlierRun]) -> ScannedArea:
    """Return the area of the first run, in a frame that holds all of them."""
    recs = [run.reconstruction for run in runs]
    areas = [ScannedArea.of(rec.positions + rec.origin, rec.N) for rec in recs]
    frames = np.array([area.frame for area in areas])
    first, end = frames[:, :2].min(axis=0), frames[:, 2:].max(axis=0)
    if (end - first).max() > LARGEST_FRAME:
        rule = f"at most {LARGEST_FRAME} pixels apart"
        raise InvalidValueError("runs", rule, f"{int((end - first).max())}")
    left, top, right, bottom = (int(value) for value in (*first, *end))
    return evolve(areas[0], frame=(left, top, right, bottom))


def _in_frame(
    rec: Reconstruction, area: ScannedArea, side: int, *, unwrap: bool
) -> tuple[View, View]:
    """Return the views of a reconstruction, laid into a frame that may be larger."""
    left, top, right, bottom = area.frame
    values = np.ones((bottom - top, right - left), np.complex64)
    coverage = np.zeros(values.shape, np.float32)
    x, y = (int(value) for value in rec.origin)
    rows = slice(max(top, y), min(bottom, y + rec.object.shape[0]))
    columns = slice(max(left, x), min(right, x + rec.object.shape[1]))
    there = (slice(rows.start - top, rows.stop - top),
             slice(columns.start - left, columns.stop - left))  # fmt: skip
    here = (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))
    values[there], coverage[there] = rec.object[here], rec.coverage[here]
    return object_views(
        values,
        coverage,
        (left, top),
        area=area,
        level=True,
        unwrap=unwrap,
        longest_side=side,
    )


def _views(runs: Sequence[EarlierRun], side: int, *, unwrap: bool) -> list[tuple[View, View]]:
    """Return amplitude and phase of all runs, with the colours of the first one."""
    area = _common_area(runs)
    found = [_in_frame(run.reconstruction, area, side, unwrap=unwrap) for run in runs]
    first = found[0]
    return [
        (
            evolve(views[0], limits=first[0].limits),
            evolve(views[1], limits=first[1].limits, colours=first[1].colours),
        )
        for views in found
    ]


def _figures(runs: Sequence[EarlierRun], names: Sequence[str]) -> Element:
    def ratio(run: EarlierRun) -> str:
        value = run.metrics.get("r_over_noise")
        return f"{value:.2f}" if isinstance(value, int | float) else "unknown"

    def number(name: str) -> Callable[[EarlierRun], str]:
        def text(run: EarlierRun) -> str:
            value = run.metrics.get(name)
            return f"{value:.4f}" if isinstance(value, int | float) else ""

        return text

    def verdict(run: EarlierRun) -> str:
        return judgement(run.metrics, [str(c.get("code")) for c in cautions_of(run.record)])[1]

    def resolution(run: EarlierRun) -> str:
        found = run.metrics.get("half_scan_frc")
        return resolution_of(found) if isinstance(found, Mapping) else ""

    rows: dict[str, Callable[[EarlierRun], str]] = {
        "verdict": verdict,
        "R-factor": number("r_factor"),
        "over photon noise": ratio,
        "correlation with the object in the scan": number("correlation"),
        "half-scan FRC": resolution,
        "command": lambda run: str(run.record.get("command", "")),
        "backend": lambda run: str(run.record.get("backend", "")),
        "patterns": lambda run: str(len(run.reconstruction.indices)),
        "seconds": lambda run: str(run.record.get("timings_s", {}).get("total", "")),
        "made": lambda run: str(run.record.get("created", "")),
    }
    return _side_by_side(((name, [text(run) for run in runs]) for name, text in rows.items()),
                         names)  # fmt: skip


def _side_by_side(rows: Iterable[tuple[str, list[str]]], names: Sequence[str]) -> Element:
    shown = [(name, *texts) for name, texts in rows if any(texts)]
    return table(shown, ("", *names))


def _pictures(
    runs: Sequence[EarlierRun], names: Sequence[str], views: Sequence[tuple[View, View]]
) -> Element:
    """Draw all pictures, in a box that lets two of them blink where scripts may run."""
    drawn = []
    for kind, index in (("phase", 1), ("amplitude", 0)):  # what is to be compared side by side
        for number, (run, name, pair) in enumerate(zip(runs, names, views, strict=True)):
            rec = run.reconstruction
            made = picture(pair[index], rec.pixel_size_m, rec.origin_m, note=name)
            made.set("data-run", str(number))
            made.set("data-kind", kind)
            drawn.append(made)
    return element("div", _controls(names) if len(runs) > 1 else None,
                   element("div", *drawn, class_="grid"))  # fmt: skip


def _controls(names: Sequence[str]) -> Element:
    options = [
        [element("option", name, value=number) for number, name in enumerate(names)]
        for _ in range(2)
    ]
    kinds = (element("option", kind, value=kind) for kind in ("phase", "amplitude"))
    return element(
        "div",
        element("label", "A ", element("select", *options[0])),
        element("label", "B ", element("select", *options[1])),
        element("label", "show ", element("select", *kinds, id="kind")),
        element("button", "Blink", id="play", type="button"),
        " ",
        element("button", "A / B", id="turn", type="button"),
        " ",
        element("button", "All", id="all", type="button"),
        element("p", element("strong", "", id="name", aria_live="polite")),
        id="blink",
        class_="blink",
        hidden="hidden",
    )


def _curves(runs: Sequence[EarlierRun], names: Sequence[str]) -> Content:
    lines = {}
    for name, run in zip(names, runs, strict=True):
        found = run.metrics.get("r_factors") or run.metrics.get("r_factors_refining") or ()
        if isinstance(found, list) and all(isinstance(value, int | float) for value in found):
            lines[name] = (list(range(1, len(found) + 1)), found)
    title, axes = "R-factor of each epoch of the solver", ("epoch", "R-factor")
    return curves(title, lines, axes, note=f"of {', '.join(lines)}" if lines else "")


def _differences(runs: Sequence[EarlierRun], names: Sequence[str]) -> Content:
    settings = [{name: value for name, value, _ in settings_of(run.record)} for run in runs]
    commands = [run.record.get("command") for run in runs]
    rows = []
    for name in dict.fromkeys(name for one in settings for name in one):
        texts = [one.get(name, "") for one in settings]
        # most settings are of one command alone: runs of others do not differ in them
        of = {command for command, one in zip(commands, settings, strict=True) if name in one}
        if len({text for command, text in zip(commands, texts, strict=True) if command in of}) > 1:
            rows.append((name, texts))
    return _side_by_side(rows, names) if rows else None
