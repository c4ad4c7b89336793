"""Checks of positions: their unit, distinct places, overlap, and what does not belong to the scan.

All but `several_scans` look at each scan of a file by itself.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import wraps

import numpy as np
from attrs import evolve
from ptycho_physics.memory import misplaced

from ptycho_core.analysis.placement import Placement
from ptycho_core.cautions._caution import Caution
from ptycho_core.cautions._facts import ScanFacts

__all__ = [
    "coarse_numbers",
    "disconnected",
    "guessed_probe",
    "little_overlap",
    "object_too_large",
    "on_a_line",
    "one_place",
    "other_unit",
    "outliers",
    "repeated_exposures",
    "several_scans",
    "single_pattern",
]

#: Overlap below which a scan is poor.
USUAL_OVERLAP = 0.6
#: Fewest places whose distances tell a wrong unit, and fewest that tell a line from a plane.
MANY_PLACES, LONG_LINE = 10, 16
#: Positions this close, in probe diameters and in pixels, would light every point five hundred
#: times, and steps of a fraction of a pixel show nothing new: they are in another unit.
DENSE, CLOSE, SUBPIXEL = 0.04, 2.0, 0.25
#: Greatest width of a line, in pixels and relative to its length.
LINE_WIDTH, SLENDER = 1.0, 0.02
#: Share of the patterns at shared places, and number at one place, that is more than chance.
SHARED, STOP = 0.25, 5
#: Coarsest resolution of positions, in pixels.
RESOLUTION = 0.01
#: Positions in full: this many outliers are named.
NAMED = 3


def each_scan(
    check: Callable[[ScanFacts], Iterable[Caution]],
) -> Callable[[ScanFacts], Iterator[Caution]]:
    """Apply a check of one scan, which finds one thing, to all scans of a file."""

    @wraps(check)
    def checked(facts: ScanFacts) -> Iterator[Caution]:
        found = {k: c for k, part in facts.parts.items() for c in check(part)}
        if len(facts.parts) == 1:
            yield from found.values()
            return
        for code in dict.fromkeys(caution.code for caution in found.values()):
            numbers = [k for k, caution in found.items() if caution.code == code]
            first = found[numbers[0]]
            more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
            yield evolve(
                first,
                text=f"scan {numbers[0]}{more}: {first.text}",
                measured={"scans": numbers, **first.measured},
            )

    return checked


def several_scans(facts: ScanFacts) -> Iterator[Caution]:
    """Say that a file holds several scans, which are of different objects."""
    numbers = facts.scan.scan_numbers
    if len(numbers) == 1:
        return
    index = facts.scan.scan_index
    counts = [int(np.count_nonzero(index == number)) for number in numbers]
    sizes = ", ".join(f"{k}: {count}" for k, count in zip(numbers[:5], counts, strict=False))
    more = ", ..." if len(numbers) > 5 else ""
    yield Caution(
        code="several-scans",
        text=f"the file holds {len(numbers)} scans (patterns by scan_index: {sizes}{more}): ptycho "
        "train takes each as a scan of its own; ptycho reconstruct and infer take one, chosen with "
        "--scan-index. If all patterns are of one object, leave scan_index out",
        measured={"scans": len(numbers), "patterns": counts},
    )


@each_scan
def single_pattern(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt a scan of one pattern."""
    if facts.scan.n == 1:
        yield Caution(
            code="single-pattern",
            text="training and solving need overlapping patterns, and this scan has only one; a "
            "model trained on another scan can reconstruct it (ptycho infer)",
        )


@each_scan
def one_place(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt a scan whose patterns are all at one place."""
    if facts.scan.n > 1 and len(facts.placement.points) == 1:
        x, y = facts.placement.points[0].tolist()
        yield Caution(
            code="one-place",
            text=f"all {facts.scan.n} patterns are at one place, x {x:.6g} and y {y:.6g}: the "
            "positions are missing or were rounded; xcoords and ycoords must be in object pixels",
            measured={"x": x, "y": y},
        )


@each_scan
def other_unit(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt positions so close to each other that they seem to be in metres or micrometres."""
    where = facts.placement
    if len(where.points) < MANY_PLACES:
        return
    (length, width), pitch = _main(where).extent, where.pitch
    diameter = None if facts.overlap is None else facts.overlap.diameter  # of a guess: unknown
    close = SUBPIXEL if diameter is None else max(SUBPIXEL, min(DENSE * diameter, CLOSE))
    if pitch >= close:
        return
    if diameter is not None and width <= SLENDER * length and length > diameter:
        return  # a plane folded onto a line is dense there
    pixel = facts.scan.pixel_size_m
    known = "" if pixel is None else f", here {pixel:.4g} m"
    probe = "" if diameter is None else f" and the probe is {diameter:.3g} pixels wide"
    yield Caution(
        code="position-unit",
        text=f"{len(where.points)} places within {length:.3g} pixels are {pitch:.2g} pixels apart"
        f"{probe}: xcoords and ycoords seem to be in micrometres, millimetres or metres, not in "
        f"object pixels; divide them by the object pixel in that unit{known} (--pixel-size-m "
        "states its size, but does not convert positions)",
        measured={"span": length, "step": pitch, "diameter": diameter},
    )


@each_scan
def little_overlap(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt positions whose neighbours overlap little or not at all."""
    found = facts.overlap
    if found is None or found.fraction >= USUAL_OVERLAP:
        return
    measured = {"step": found.step, "diameter": found.diameter, "fraction": found.fraction}
    if found.fraction > 0:
        if facts.placement.pitch < (1 - USUAL_OVERLAP) * found.diameter:
            return  # scattered unevenly, but densely enough
        yield Caution(
            code="little-overlap",
            text=f"neighbouring patterns overlap by only {found.fraction:.0%}; "
            f"{USUAL_OVERLAP:.0%} or more is usual",
            measured=measured,
        )
    elif _nearest(facts.placement) >= found.diameter:
        yield Caution(
            code="no-overlap",
            text="neighbouring patterns must overlap for training and solving, but positions are "
            f"{found.step:.6g} pixels apart and the probe is {found.diameter:.1f} pixels wide; "
            "check that xcoords and ycoords are in object pixels. If they are, a model trained on "
            "a denser scan can reconstruct this one (ptycho infer)",
            measured=measured,
        )


@each_scan
def disconnected(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt a scan in parts that share no light, though neighbours within a part do."""
    found = facts.overlap
    if found is None or found.parts == 1 or _nearest(facts.placement) >= found.diameter:
        return
    where = facts.placement
    largest = np.count_nonzero(where.parts(found.lit) == 0) / len(where.points)
    yield Caution(
        code="disconnected",
        text=f"the scan is in {found.parts} parts up to {found.gap:.3g} pixels apart, but the "
        f"probe lights only {found.lit:.3g} pixels; the largest part has {largest:.0%} of the "
        "places. Phase and brightness of one part relative to another cannot be found: check the "
        "unit of both coordinates, or scan in smaller steps",
        measured={
            "parts": found.parts,
            "gap": found.gap,
            "lit": found.lit,
            "largest_part": largest,
        },
    )


@each_scan
def outliers(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt a few positions that are far from all others."""
    where = facts.placement
    far = np.flatnonzero(~where.main[where.place])
    if not len(far):
        return
    inner = where.points[where.main]
    low, high = inner.min(axis=0), inner.max(axis=0)
    points = facts.scan.positions[far]
    away = np.linalg.norm(points - np.clip(points, low, high), axis=1)
    if facts.overlap is not None and away.max() < facts.overlap.lit:
        return
    order = np.argsort(-away, kind="stable")
    named = [f"{far[k]} ({away[k]:.4g} pixels away)" for k in order[:NAMED]]
    more = f" and {len(far) - NAMED} more" if len(far) > NAMED else ""
    yield Caution(
        code="outlier",
        text=f"pattern {', '.join(named)}{more} of {facts.scan.n} is far from all others: leave "
        "out what does not belong to the scan; the first pattern has number 0",
        measured={"patterns": far[order].tolist(), "distances": away[order].tolist()},
    )


@each_scan
def repeated_exposures(facts: ScanFacts) -> Iterator[Caution]:
    """Say that several patterns were taken at one place."""
    exposures = facts.placement.exposures
    shared, most = int(exposures[exposures > 1].sum()), int(exposures.max())
    if len(exposures) == 1 or not (shared > SHARED * facts.scan.n or most >= STOP):
        return
    yield Caution(
        code="repeated-exposures",
        text=f"{facts.scan.n} patterns are at {len(exposures)} different places, up to {most} at "
        "one: only different places overlap; if these are exposures of one stop, add them up",
        measured={"places": len(exposures), "most": most, "patterns": shared},
    )


@each_scan
def on_a_line(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt many positions on one line."""
    where = _main(facts.placement)
    length, width = where.extent
    if facts.scan.n < LONG_LINE or len(where.points) < 3:
        return
    if width > min(LINE_WIDTH, SLENDER * length):
        return
    yield Caution(
        code="line",
        text=f"all {facts.scan.n} positions are on one line, {length:.4g} pixels long and "
        f"{width:.2g} wide: if the scan is two-dimensional, one of its coordinates is missing, as "
        "where a stage moves in x and z but x and y were read",
        measured={"length": length, "width": width},
    )


@each_scan
def coarse_numbers(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt positions in memory so large that single precision has rounded them.

    Of a file, the reader knows the number type, and warns.
    """
    if facts.scan.source is not None:
        return
    positions = facts.scan.positions[facts.placement.main[facts.placement.place]]
    # A scan has them in double precision: single precision shows in the values.
    if not (positions == positions.astype(np.float32)).all():
        return
    largest = np.abs(positions).max(axis=0)
    axis = int(np.argmax(largest))
    rounding = float(np.spacing(np.float32(largest[axis])))
    # Whole pixels, or halves, are such values as well, but multiples of more than the rounding.
    if rounding <= RESOLUTION or not (positions[:, axis] % (8 * rounding)).any():
        return
    yield Caution(
        code="position-rounding",
        text=f"positions up to {largest[axis]:.4g} pixels are stored in single precision, which "
        f"rounds them to {rounding:.2g} pixels: subtract the first position before they are "
        "stored, or store them as float64",
        measured={"largest": float(largest[axis]), "rounding": rounding},
    )


@each_scan
def object_too_large(facts: ScanFacts) -> Iterator[Caution]:
    """Refuse positions so far apart that the object does not fit into memory, and those without."""
    found = misplaced(facts.scan.positions, facts.scan.N)
    if found is None:
        return
    yield Caution(
        code="object-too-large" if math.isfinite(found.needed) else "no-position",
        text=f"positions must be {found.rule}, got {found.got}; {found.advice}",
        measured={"needed_bytes": found.needed, "position": found.number},
        fatal=True,
    )


def guessed_probe(facts: ScanFacts) -> Iterator[Caution]:
    """Say that the probe is a guess."""
    if facts.scan.probe_made:
        yield Caution(
            code="guessed-probe",
            text="the probe is a guess, in focus, which the true one seldom is, and the overlap is "
            "unknown. ptycho infer and ptycho reconstruct find it from the patterns with "
            "--first-probe auto; a measured or simulated one is given with --probe-file",
        )


def _main(where: Placement) -> Placement:
    """Return the places without outliers."""
    return where if where.main.all() else Placement(where.points[where.main])


def _nearest(where: Placement) -> float:
    """Median distance of the links, in pixels: of neighbours, whatever separates the parts."""
    return float(np.median(where.links[1]))
