"""The patterns of a scan: checked in one pass, bad pixels found, the domain settled."""

import math
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data._changes import changed
from ptycho_data._domain import Domain, settle_domain
from ptycho_data._fill import constant_negative, filled
from ptycho_data._measure import DAMAGED, Checksum, StackStatistics, measure
from ptycho_data._stack import Stack
from ptycho_data._violations import Findings

__all__ = [
    "NEGATIVES",
    "CheckedPatterns",
    "Negative",
    "check_patterns",
    "countable",
    "require_countable",
]

BRIGHTEST = (1e-15, 1e15)
"""Bounds of the largest count or amplitude: single precision must hold its square, summed."""


Negative = Literal["refuse", "clip"]
"""What to do with values below zero."""
NEGATIVES: tuple[str, ...] = get_args(Negative)


@frozen(kw_only=True, eq=False)
class CheckedPatterns:
    """Patterns that are fit to be used, unless there are violations.

    Attributes
    ----------
    stack : (n, N, N)
        Patterns; changed where a caution says so.
    bad_pixels : (N, N) bool, or None
        Bad pixels, known and found.
    domain
        Counts or amplitudes; None if that cannot be known.
    totals : (n,) float64
        Sum of counts, or of squared amplitudes, of each pattern.
    cautions
        What was assumed or changed, one line each.
    """

    stack: Stack
    bad_pixels: NDArray[np.bool_] | None
    domain: Domain | None
    totals: NDArray[np.float64]
    cautions: list[str] = field(factory=list)


def check_patterns(
    stack: Stack,
    domain: str | None,
    bad_pixels: NDArray[np.bool_] | None,
    checksum: Checksum | None,
    findings: Findings,
    *,
    negative: Negative = "refuse",
) -> CheckedPatterns:
    """Check all patterns, in one pass of flat memory where nothing is to be changed.

    Parameters
    ----------
    stack : (n, N, N)
        Patterns, in memory or on disk.
    domain : {"counts", "amplitude"}, optional
        Stated domain; see `settle_domain` for what happens without.
    bad_pixels : (N, N) bool, optional
        Pixels whose values do not matter. Pixels that hold the fill value of a detector are added,
        with a caution.
    checksum
        Of a mapped stack, to find damage that the values do not show.
    findings
        Receives every violation.
    negative : {"refuse", "clip"}
        Values below zero, the noise of dark-subtracted frames, are a violation or become zero.

    Returns
    -------
    CheckedPatterns
        Patterns, mask, domain and sums.
    """
    floats = stack.dtype.kind == "f"
    wanted = {
        "squares": domain == "amplitude" or (domain is None and floats),
        "whole": domain != "amplitude" and floats,
    }
    start = None if checksum is None else checksum.start
    statistics = measure(stack, bad_pixels=bad_pixels, crc=start, **wanted)
    if checksum is not None and statistics.crc != checksum.target:
        findings.add("diffraction", *DAMAGED)
    bad, cautions = _without_value(stack, statistics, bad_pixels, negative)
    if bad.any():
        bad_pixels = bad if bad_pixels is None else bad_pixels | bad
        statistics = measure(stack, bad_pixels=bad_pixels, **wanted)
    if negative == "clip" and statistics.minimum < 0:
        cautions.append(f"diffraction: values below 0, down to {statistics.minimum:g}, became 0")
        stack = changed(stack, _clipped)
        statistics = measure(stack, bad_pixels=bad_pixels, **wanted)
    _check_values(statistics, len(stack), findings)
    settled = settle_domain(stack, domain, statistics, bad_pixels, findings)
    totals = statistics.totals
    if settled.domain == "amplitude" and statistics.square_totals is not None:
        totals = statistics.square_totals
    if settled.caution:
        cautions.append(settled.caution)
    if settled.scale != 1:
        stack, totals = changed(stack, partial(_scaled, settled.scale)), totals * settled.scale
    return CheckedPatterns(
        stack=stack,
        bad_pixels=bad_pixels,
        domain=settled.domain,
        totals=totals,
        cautions=cautions,
    )


def countable(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Return the values of frames, 0 for what is no number or too large for counts."""
    wide = frames.astype(np.float64)
    return wide if frames.dtype.kind != "f" else np.where(np.abs(wide) <= BRIGHTEST[1], wide, 0.0)


def require_countable(frames: NDArray[Any], bad_pixels: NDArray[np.bool_] | None = None) -> None:
    """Raise an InvalidValueError if good pixels of frames hold what is too large for counts."""
    if frames.dtype.kind != "f":
        return
    counted = np.isfinite(frames) if bad_pixels is None else np.isfinite(frames) & ~bad_pixels
    largest = (
        np.max(frames, initial=0.0, where=counted),
        np.min(frames, initial=0.0, where=counted),
    )
    for value in map(float, largest):
        if abs(value) > BRIGHTEST[1]:
            raise InvalidValueError("patterns", f"of values up to {BRIGHTEST[1]:g}", f"{value:g}")


def _without_value(
    stack: Stack,
    statistics: StackStatistics,
    bad_pixels: NDArray[np.bool_] | None,
    negative: Negative,
) -> tuple[NDArray[np.bool_], list[str]]:
    """Find bad pixels that are not marked; none where that would leave no good one."""
    bad, found = filled(stack, statistics, bad_pixels)
    if negative == "clip":
        dead = constant_negative(statistics, len(stack))
        if bad_pixels is not None:
            dead &= ~bad_pixels
        if dead.any():
            bad |= dead
            found.append(f"{int(dead.sum())} pixels have one value below 0 in every pattern")
    known = bad if bad_pixels is None else bad | bad_pixels
    if known.all():
        return np.zeros_like(bad), []
    return bad, [
        f"diffraction: {text}, which is no count: they were taken as bad pixels; mark all bad "
        "pixels in bad_pixels"
        for text in found
    ]


def _check_values(statistics: StackStatistics, n: int, findings: Findings) -> None:
    broken = np.flatnonzero(~np.isfinite(statistics.totals))
    if len(broken):
        got = f"NaN or infinity in {len(broken)} patterns, first in pattern {broken[0]}"
        findings.add("diffraction", "finite", got, "mark dead pixels in bad_pixels")
    if statistics.minimum < 0:
        dead = int(constant_negative(statistics, n).sum())
        where = f", the same in every pattern in {dead} pixels" if dead else ""
        got = f"negative values down to {statistics.minimum:g}{where}"
        advice = "mark dead pixels in bad_pixels; the noise of dark-subtracted frames is clipped "
        advice += "by ptycho convert IN OUT --negative clip"
        findings.add("diffraction", "counts or amplitudes >= 0", got, advice)
    if statistics.minimum == 0 == statistics.maximum:
        findings.add("diffraction", "patterns with photons", "zeros only")
    elif math.isfinite(statistics.maximum) and statistics.maximum > BRIGHTEST[1]:
        rule, got = f"at most {BRIGHTEST[1]:g}", f"{statistics.maximum:g}"
        findings.add("diffraction", rule, got, "mark pixels without a count in bad_pixels")
    elif statistics.minimum >= 0 and statistics.maximum < BRIGHTEST[0]:
        rule, got = f"at least {BRIGHTEST[0]:g} somewhere", f"{statistics.maximum:g}"
        findings.add("diffraction", rule, got, "multiply them to counts")


def _clipped(patterns: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.maximum(patterns, 0))


def _scaled(scale: float, patterns: NDArray[Any]) -> NDArray[Any]:
    return (patterns.astype(np.float64) * scale).astype(np.float32)
