"""The orientation of the positions relative to the patterns, found by trying the eight.

Signs and order of the coordinates are conventions of motors and programs that no file states. With
a known probe, one of the eight explains the patterns. With an unknown one, the eight are four
pairs: a variant and the one with both signs flipped are twins. So four are tried then, each with
curvatures of both signs.
"""

import logging
from typing import Any, Literal

import numpy as np
from attrs import evolve, field, frozen
from ptycho_data import Scan
from ptycho_physics import DivergenceError, apply_symmetry_to_positions, solve

from ptycho_core.analysis.verdict import DOUBTFUL_EXCESS, judge
from ptycho_core.first_probe.curvature import TRIED, CentralPart, Trial, search_curvature
from ptycho_core.first_probe.search import FirstProbe, refined_trial, require_patterns
from ptycho_core.fitted import Fitted
from ptycho_core.solving.solutions import reconstruction_of
from ptycho_core.starting_probe import light_varies, neighbourhood

__all__ = ["Candidate", "Orientation", "find_orientation", "oriented", "variant_name"]

log = logging.getLogger(__name__)

#: Mirrors x, mirrors y, swaps: bits of `ptycho_physics.apply_symmetry_to_positions`.
EIGHT = tuple(range(8))
#: One of each pair of twins: the other has both signs flipped.
FOUR = (0, 1, 4, 5)
BOTH_SIGNS = 3
#: The winner's R-factor must be lower than the next by this fraction.
MARGIN = 0.05
#: Settings of the solver for a probe that is given.
SOLVING: dict[str, Any] = {"epochs": 16, "batch_size": 8}

ProbeKnown = Literal["given", "rough", "unknown"]


@frozen(kw_only=True)
class Candidate:
    """One orientation that was tried.

    Attributes
    ----------
    symmetry : int
        See `oriented`.
    r_factor, r_over_noise : float
        On the part of the patterns that was tried; the second is None if the number of photons is
        unknown.
    diameter : float or None
        Width in pixels that the found defocus gives to the beam, if the probe was searched.
    """

    symmetry: int
    r_factor: float
    r_over_noise: float | None
    diameter: float | None = None


@frozen(kw_only=True)
class Orientation:
    """The decision about the orientation, with its table.

    Attributes
    ----------
    symmetry : int
        The best one; the scan's own, 0, if nothing was decided.
    decided : bool
        Whether it is clearly better than the others. With an unknown probe its twin remains.
    undecided : list of int
        Orientations that explain the patterns about as well as the best; its twin among them if
        the probe was unknown.
    table : list of Candidate
        The best first.
    first_probe : FirstProbe or None
        For positions as `oriented` returns them, if the probe was searched too.
    """

    symmetry: int
    decided: bool
    undecided: list[int] = field(factory=list)
    table: list[Candidate] = field(factory=list)
    first_probe: FirstProbe | None = None

    @property
    def options(self) -> str:
        """Options of ``ptycho convert`` that turn the positions so."""
        return variant_name(self.symmetry)

    def describe(self) -> str:
        """Return the table and the decision as lines of text."""
        lines = ["orientation                                  R-factor   over noise"]
        for one in self.table:
            ratio = "unknown" if one.r_over_noise is None else f"{one.r_over_noise:.2f}"
            lines.append(f"{_row(one):<44} {one.r_factor:8.4f}   {ratio:>10}")
        return "\n".join([*lines, self._decision()])

    def _decision(self) -> str:
        others = ", ".join(variant_name(s) for s in self.undecided)
        if not self.decided:
            return (
                f"not decided: {others} fit about as well"
                if self.undecided
                else "not decided: none of them explains the patterns; positions stay as they are"
            )
        if self.undecided:
            return f"{self.options}, or its twin {others}: the patterns cannot tell the two apart"
        return f"decided: {self.options}"

    @property
    def record(self) -> dict[str, Any]:
        """The entry of ``run.json``."""
        rows = [
            {"variant": variant_name(c.symmetry), "r_factor": c.r_factor,
             "r_over_noise": c.r_over_noise}
            for c in self.table
        ]  # fmt: skip
        return {
            "variant": self.options,
            "decided": self.decided,
            "undecided": [variant_name(s) for s in self.undecided],
            "table": rows,
        }


def variant_name(symmetry: int) -> str:
    """Return the options of ``ptycho convert`` for a symmetry, or ``as it is``."""
    swap, x, y = options_of(symmetry)
    flags = [("--swap-xy", swap), ("--flip-x", x), ("--flip-y", y)]
    return " ".join(flag for flag, given in flags if given) or "as it is"


def options_of(symmetry: int) -> tuple[bool, bool, bool]:
    """Return ``(swap_xy, flip_x, flip_y)`` of a symmetry, for positions swapped before flipped."""
    mirrored_x, mirrored_y, swap = bool(symmetry & 1), bool(symmetry & 2), bool(symmetry & 4)
    return (swap, mirrored_y, mirrored_x) if swap else (swap, mirrored_x, mirrored_y)


def oriented(scan: Scan, symmetry: int) -> Scan:
    """Return a scan with mirrored or swapped positions.

    Parameters
    ----------
    scan : Scan
    symmetry
        From 0 to 7, as in `ptycho_physics.apply_symmetry_to_positions`. Its object and patches, if
        it has any, belong to the old positions and are left out where positions change.
    """
    if symmetry == 0:
        return scan
    x, y = _turned(scan.positions, symmetry)
    changes: dict[str, Any] = {"xcoords": x, "ycoords": y, "object_guess": None, "patches": None}
    if scan.xcoords_start is not None and scan.ycoords_start is not None:
        start = np.stack([scan.xcoords_start, scan.ycoords_start], axis=1)
        changes["xcoords_start"], changes["ycoords_start"] = _turned(start, symmetry)
    return evolve(scan, **changes, origin_m=None)


def _turned(positions: Any, symmetry: int) -> tuple[Any, Any]:
    turned = np.asarray(apply_symmetry_to_positions(positions, symmetry))
    return turned[:, 0], turned[:, 1]


def find_orientation(scan: Scan, probe: ProbeKnown | None = None) -> Orientation:
    """Find how positions and patterns are oriented to each other.

    Parameters
    ----------
    scan : Scan
        Patterns centred; a part around the middle of the scan is used.
    probe
        ``given``: the scan's probe is right, and eight orientations are tried. ``rough``: it is
        refined in each of them. ``unknown``: the probe is searched in each of four, each of which
        stands for itself and its twin. Default: unknown if the program made the scan's probe, else
        rough.

    Returns
    -------
    Orientation

    Raises
    ------
    InvalidValueError
        If there are too few patterns, or all of them are zero.
    """
    require_patterns(scan)
    known = probe or ("unknown" if scan.probe_made else "rough")
    if known == "unknown":
        return _with_search(scan)
    return _with_probe(scan, refine=known == "rough")


def _with_search(scan: Scan) -> Orientation:
    """Try four orientations, each with curvatures of both signs."""
    part = CentralPart.of(scan)
    best: dict[int, Trial] = {}
    trials = search_curvature(part, FOUR)
    for trial in trials:
        best.setdefault(trial.symmetry, trial)
    ranked = sorted(best.values(), key=lambda t: t.r_factor)
    table = [
        Candidate(
            symmetry=t.symmetry,
            r_factor=t.r_factor,
            r_over_noise=_over_noise(scan, part, t),
            diameter=t.diameter * scan.N,
        )
        for t in ranked
    ]
    symmetry, decided, alike = _decide(table)
    found = None
    if decided:
        chosen = [t for t in trials if t.symmetry == symmetry]
        found = refined_trial(oriented(scan, symmetry), part, chosen)
        alike = [symmetry ^ BOTH_SIGNS]
        if found.verdict.doubtful:  # the best of four, and wrong all the same
            symmetry, decided, found, alike = 0, False, None, []
    return Orientation(
        symmetry=symmetry, decided=decided, undecided=alike, table=table, first_probe=found
    )


def _with_probe(scan: Scan, *, refine: bool) -> Orientation:
    """Try eight orientations with the scan's probe."""
    table = []
    for symmetry in EIGHT:
        turned = neighbourhood(oriented(scan, symmetry), TRIED)
        try:
            solution = solve(
                turned.counts(nphotons=1.0),
                turned.positions,
                scan.probe,
                mask=scan.bad_pixels,
                average=False,  # few epochs, and counts in an unknown unit
                update_probe=refine,
                refine_light=light_varies(turned),
                **SOLVING,
            )
        except DivergenceError:
            table.append(Candidate(symmetry=symmetry, r_factor=np.inf, r_over_noise=None))
            continue
        verdict = judge(reconstruction_of(solution, turned), turned, fitted=Fitted.of(solution))
        table.append(
            Candidate(symmetry=symmetry, r_factor=verdict.r_factor, r_over_noise=verdict.ratio)
        )
    table.sort(key=lambda one: one.r_factor)
    symmetry, decided, alike = _decide(table)
    return Orientation(symmetry=symmetry, decided=decided, undecided=alike, table=table)


def _decide(table: list[Candidate]) -> tuple[int, bool, list[int]]:
    """Return the orientation, whether it is clearly the best, and those that are about as good."""
    best = table[0]
    alike = [c.symmetry for c in table if c.r_factor * (1 - MARGIN) < best.r_factor]
    if len(alike) > 1:
        return 0, False, alike
    ratio = best.r_over_noise
    excess = 0.0 if ratio is None else best.r_factor * np.sqrt(max(0.0, 1 - 1 / ratio**2))
    return (0, False, []) if excess > 2 * DOUBTFUL_EXCESS else (best.symmetry, True, [])


def _over_noise(scan: Scan, part: CentralPart, trial: Trial) -> float | None:
    """R-factor of a trial over that of photon noise of its own rates."""
    if trial.solution is None or (scan.domain == "amplitude" and scan.nphotons is None):
        return None
    positions = part.turned(trial).positions
    small = Scan(
        diffraction=part.counts,
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=np.asarray(trial.solution.probe),
        bad_pixels=part.mask,
        background=part.background,
        subtracted=part.subtracted,
        domain="counts",
    )
    found = reconstruction_of(trial.solution, small)
    return judge(found, small, fitted=Fitted.of(trial.solution)).ratio


def _row(one: Candidate) -> str:
    """Name of a row: with an unknown probe it stands for the twin, too."""
    name = variant_name(one.symmetry)
    if one.diameter is None:
        return name
    return f"{name} / {variant_name(one.symmetry ^ BOTH_SIGNS)}"
