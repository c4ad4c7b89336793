"""The report on a reconstruction, with a network or by the solver."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_data import Reconstruction, Scan
from ptycho_data.views import ScannedArea, reconstruction_views

from ptycho_core.analysis.half_scans import HalfScanFRC
from ptycho_core.analysis.verdict import file_name
from ptycho_core.fitted import Fitted
from ptycho_core.report.drawings import curves, dots, moves, picture
from ptycho_core.report.elements import Content, block, element, page
from ptycho_core.report.facts import heading, made_of
from ptycho_core.report.judgement import verdict_box
from ptycho_core.report.pattern_fits import PatternFits, fit_patterns
from ptycho_core.report.patterns import pattern_pair
from ptycho_core.report.probes import MODES, probe_pictures
from ptycho_core.uncertainty.estimate import describe_uncertainty
from ptycho_core.uncertainty.figure import uncertainty_views

__all__ = ["reconstruction_report"]

#: Longest side of the pictures of the object: with all others, they keep a page of noise below
#: three megabytes.
OBJECT_SIDE = 640
#: Longest side of the maps of its errors, which are smooth.
ERROR_SIDE = 320
#: Positions that are drawn where they were refined, at most; and the least that counts as moved,
#: pixels.
MOVED_POSITIONS, MOVED = 800, 1e-3


def reconstruction_report(
    rec: Reconstruction,
    scan: Scan,
    *,
    metrics: Mapping[str, Any],
    record: Mapping[str, Any],
    method: str,
    curve: HalfScanFRC | None,
    pictures: bool,
    unwrap: bool = False,
    output: str,
    fitted: Fitted = Fitted(),  # noqa: B008 - it is frozen
) -> bytes:
    """Write the report on a reconstruction as a page of HTML that needs no other file.

    Parameters
    ----------
    rec, scan
        The reconstruction, and the scan that it is of.
    metrics, record
        Content of ``metrics.json`` and of ``run.json``.
    method
        What made it, in words.
    curve
        The half-scan FRC; None without.
    pictures
        Draw pictures; without, there are curves and tables alone, and matplotlib is not needed.
    unwrap
        Show the phase of the object without jumps of 2 pi.
    output
        Name of the folder of the results.
    fitted
        Light and background of the patterns, if they were fitted.
    """
    drawn: list[Content] = []
    if pictures:
        fits = fit_patterns(rec, scan, fitted)
        area = ScannedArea.of(scan.positions, scan.N)
        drawn = [
            _object(rec, area, method, unwrap=unwrap),
            block("How sure", _uncertainty(rec, area, metrics.get("uncertainty"))),
            block("Probe", *_probe(rec)),
            None if fits is None else _patterns(fits),
            block("Over the scan", _over_the_scan(rec, scan, fits)),
        ]
    return page(
        file_name(scan),
        heading(record, method),
        verdict_box(metrics, record),
        *drawn,
        block("Curves", _curves(metrics, curve)),
        *made_of(record, output),
    )


def _grid(*parts: Content, kind: str = "grid") -> Content:
    found = [part for part in parts if part is not None]
    return element("div", *found, class_=kind) if found else None


def _object(rec: Reconstruction, area: ScannedArea, method: str, *, unwrap: bool) -> Content:
    views = reconstruction_views(rec, area, unwrap=unwrap, longest_side=OBJECT_SIDE)
    amplitude, phase = views
    size = "" if rec.pixel_size_m is None else f", pixel {rec.pixel_size_m * 1e9:.3g} nm"
    note = f"{len(rec.indices)} patterns, {method}{size}; the outline is the scanned area"
    drawn = (picture(v, rec.pixel_size_m, rec.origin_m, note=note) for v in (phase, amplitude))
    return block("Object", _grid(*drawn))


def _uncertainty(rec: Reconstruction, area: ScannedArea, metrics: Any) -> Content:
    """Draw the standard errors; None where they were not asked for."""
    if rec.phase_error is None or rec.amplitude_error is None:
        return None
    amplitude, phase = uncertainty_views(rec, area, longest_side=ERROR_SIDE)
    note = "about 68 % of the pixels err by less; light colours are doubtful places"
    drawn = (picture(v, rec.pixel_size_m, rec.origin_m, note=note) for v in (phase, amplitude))
    said = describe_uncertainty(metrics) if isinstance(metrics, Mapping) else ""
    return element("div", element("p", said, class_="soft") if said else None, _grid(*drawn))


def _probe(rec: Reconstruction) -> list[Content]:
    more = len(rec.probe) - MODES
    left_out = element("p", f"{more} weaker modes are not drawn.", class_="soft")
    drawn = probe_pictures(rec.probe, rec.pixel_size_m)
    return [_grid(*drawn), left_out if more > 0 else None]


def _patterns(fits: PatternFits) -> Content:
    rows: list[Content] = []
    for name, example in fits.examples.items():
        rows += pattern_pair(name, example, counted=fits.counted)
    text = (
        f"Of {len(fits.rows)} patterns spread over the scan, the one explained best, a median one "
        "and the worst: square roots of the counts, measured and by the model."
    )
    return block("Patterns", element("p", text, class_="soft"), _grid(*rows, kind="grid pairs"))


def _over_the_scan(rec: Reconstruction, scan: Scan, fits: PatternFits | None) -> Content:
    place: dict[str, Any] = {"pixel_size_m": rec.pixel_size_m, "origin_m": rec.origin_m}
    positions = rec.positions + rec.origin
    shown: list[Content] = []
    if fits is not None:
        known = np.isfinite(fits.r_factors)
        values = fits.r_factors[known]
        low, high = (float(v) for v in np.percentile(values, (1, 99)))
        shown.append(
            dots(
                "Misfit of each pattern", positions[fits.rows][known], values, "R",
                (low, max(high, low + 1e-6)), **place,
                note=f"R-factor of {len(values)} patterns at their positions; "
                "islands of one colour tell of places, noise tells of nothing",
            )
        )  # fmt: skip
    shown.append(_moved(rec, scan, positions, place))
    return _grid(*shown)


def _moved(
    rec: Reconstruction, scan: Scan, positions: NDArray[np.float64], place: Mapping[str, Any]
) -> Content:
    """Draw how far refined positions moved; None where they did not."""
    before = scan.positions[rec.indices]
    shifts = positions - before
    far = np.hypot(*shifts.T)
    if not len(far) or far.max() < MOVED:
        return None
    chosen = np.unique(np.linspace(0, len(far) - 1, min(len(far), MOVED_POSITIONS)).astype(int))
    spacing = np.sqrt(max(float(np.prod(np.ptp(before, axis=0))), 1.0) / len(chosen))
    enlarged = float(f"{spacing / max(float(np.percentile(far, 95)), MOVED):.1g}")
    nm = "" if rec.pixel_size_m is None else f" ({far.max() * rec.pixel_size_m * 1e9:.3g} nm)"
    rms = float(np.sqrt(np.mean(far**2)))
    return moves(
        "Refined positions",
        before[chosen],
        shifts[chosen],
        enlarged,
        **place,
        note=f"lines are {enlarged:g} times as long as the moves: {rms:.3g} pixels rms, at most "
        f"{far.max():.3g} pixels{nm}",
    )


def _curves(metrics: Mapping[str, Any], curve: HalfScanFRC | None) -> Content:
    solver = metrics.get("r_factors") or metrics.get("r_factors_refining") or ()
    epochs = range(1, len(solver) + 1)
    title = "R-factor of each epoch of the solver"
    parts: list[Content] = [
        curves(title, {"R": (list(epochs), list(solver))}, ("epoch", "R-factor"))
    ]
    if curve is not None:
        ring = curve.ring
        lines = {
            "FRC": (ring.frequency, ring.correlation),
            "half-bit": (ring.frequency, ring.half_bit),
            "0.5": (ring.frequency, np.full_like(ring.half_bit, 0.5)),
        }
        axes = ("cycles per pixel", "correlation")
        parts.append(curves("Fourier ring correlation of half scans", lines, axes))
    return _grid(*parts)
