"""Checks of the detector: pixels that measured no light, and the mask that marks them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ptycho_core.analysis.scan_statistics import saturation_of
from ptycho_core.cautions._caution import Caution
from ptycho_core.cautions._facts import ScanFacts

__all__ = ["dead", "hot", "inverted_mask", "saturated", "stuck"]

#: Part of the pixels, or of those with light, that a mask may mark.
USUAL_MASK = 0.5
#: A pixel is lit if it is not zero in this part of the patterns.
LIT = 0.25


def stuck(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt pixels that repeat one large value, as detectors write it for "no value"."""
    if not facts.stuck.any():
        return
    number, first = _counted(facts.stuck)
    value = float(np.median(facts.raw[:, first[0], first[1]]))
    yield Caution(
        code="stuck-pixels",
        text=f"stuck pixels: {number} with one value in most patterns, far above the light around, "
        f"{value:.12g} at {first}; detectors write such a value for 'no measurement': mark these "
        "pixels in bad_pixels",
        measured={"pixels": number, "first": first, "value": value},
    )


def hot(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt pixels that are far brighter than those around them in most patterns."""
    if not facts.hot.any():
        return
    brightest = np.where(facts.hot, facts.mean_pattern, 0)
    share = float(brightest.sum() / facts.mean_pattern[facts.clean | facts.hot].sum())
    place = [int(i) for i in np.unravel_index(int(brightest.argmax()), brightest.shape)]
    number, _ = _counted(facts.hot)
    yield Caution(
        code="hot-pixels",
        text=f"hot pixels: {number} over 20 times brighter than those around, with "
        f"{share:.2%} of all light, the brightest at {place}; mark these pixels in bad_pixels",
        measured={"pixels": number, "brightest": place, "share": share},
    )


def dead(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt pixels that are zero in every pattern although those around them have light."""
    lines, clusters = facts.dead.lines, facts.dead.clusters
    if lines.any():
        rows = _whole(lines, facts.good, axis=1)
        columns = _whole(lines, facts.good, axis=0)
        named = [
            f"{name} {_ranges(numbers)}"
            for name, numbers in (("rows", rows), ("columns", columns))
            if numbers
        ]
        yield Caution(
            code="dead-lines",
            text=f"{' and '.join(named)} of the patterns are always zero, with light on both "
            "sides: a gap of the detector is no measurement; mark it in bad_pixels",
            measured={"rows": rows, "columns": columns},
        )
    if clusters.any():
        number, first = _counted(clusters)
        yield Caution(
            code="dead-pixels",
            text=f"dead pixels, or a beam stop: {number} always zero with light all around, the "
            f"first at {first}; mark these pixels in bad_pixels",
            measured={"pixels": number, "first": first},
        )


def saturated(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt a plateau at the largest value, as a saturated detector produces it."""
    found = saturation_of([facts.raw], facts.clean, facts.scan.domain)
    if found.suspected:
        yield Caution(
            code="saturated",
            text=f"{found.pixels} pixels in {found.patterns} of {len(facts.rows)} patterns have "
            f"the largest value {found.largest:.12g}: the detector may be saturated; mark these "
            "pixels in bad_pixels",
            measured={"largest": found.largest, "pixels": found.pixels},
        )


def inverted_mask(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt a mask of most pixels, or of most pixels with light."""
    bad = ~facts.good
    if not bad.any():
        return
    share, hidden = float(bad.mean()), _hidden_light(facts)
    if share <= USUAL_MASK and hidden <= USUAL_MASK:
        return
    what = (
        f"{share:.0%} of all pixels"
        if share > USUAL_MASK
        else f"{hidden:.0%} of the pixels that see light"
    )
    yield Caution(
        code="inverted-mask",
        text=f"bad_pixels marks {what} as bad: it is True (1) for bad pixels, and many programs "
        "use 1 for good ones; if yours does, invert the mask",
        measured={"bad": share, "lit_and_bad": hidden},
    )


def _hidden_light(facts: ScanFacts) -> float:
    """Part of the lit pixels that is marked as bad; a value that never changes is no light."""
    behind = facts.raw[:, ~facts.good]
    if behind.dtype.kind == "f":
        behind = np.nan_to_num(behind, nan=0.0, posinf=0.0, neginf=0.0)
    changing = (behind != behind[0]).any(axis=0)
    hidden = int(np.count_nonzero(changing & ((behind > 0).mean(axis=0) > LIT)))
    seen = int(np.count_nonzero(facts.good & ((facts.intensities > 0).mean(axis=0) > LIT)))
    return hidden / max(1, hidden + seen)


def _counted(pixels: NDArray[np.bool_]) -> tuple[int, list[int]]:
    """Return the number of pixels in a mask, and the row and column of the first."""
    return int(pixels.sum()), [int(i) for i in np.argwhere(pixels)[0]]


def _whole(lines: NDArray[np.bool_], good: NDArray[np.bool_], axis: int) -> list[int]:
    """Rows (axis 1) or columns (axis 0) whose good pixels are all in a mask."""
    whole = (lines | ~good).all(axis=axis) & lines.any(axis=axis)
    return [int(i) for i in np.flatnonzero(whole)]


def _ranges(numbers: list[int]) -> str:
    """Return "3, 7-9" for 3, 7, 8, 9."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
