"""The rotation between scan and detector, found by trying angles.

Magnetic lenses turn the image of an electron microscope by any angle, and detectors are mounted by
hand. The solver tells: patterns that overlap contradict each other where positions are turned the
wrong way. It does so within some 20 degrees of the right angle, at any dose that can be
reconstructed at all, so a coarse search over angles and mirror images finds it. Where patterns have
enough counts, the field of their centres of mass says beforehand which angles are worth a trial.

With an unknown probe, an angle and the one opposite are twins; the curvature of the probe is
searched together with the angle then.
"""

import logging
from collections.abc import Iterable, Sequence

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from ptycho_data import Scan

from ptycho_core.first_probe.curvature import EPOCHS, CentralPart, Trial, curvatures, tried
from ptycho_core.first_probe.search import (
    FirstProbe,
    judged_probe,
    refined_trial,
    require_patterns,
)
from ptycho_core.preparing.centre_of_mass import centres_of_mass, curl_free_angle

__all__ = ["MIRRORED", "Rotation", "find_rotation", "still_turned", "turned"]

log = logging.getLogger(__name__)

#: Symmetries that are turned: all that positions can be is one of them at some angle.
PLAIN, MIRRORED = 0, 2
#: Degrees between trials, and what two of them differ by to be no neighbours.
STEP, APART = 15.0, 40.0
#: Degrees between trials whose centres of mass have a curl at any angle: for comparison only.
COMPARED = 45.0
#: Patterns of the coarse search, and of the last one.
COARSE, FINE = 64, 144
#: Trials that enter the second round.
KEPT = 5
#: The next best angle has to explain less than this part of what the best explains.
CLEAR = 0.5
#: A rotation of fewer degrees, or one that lowers the R-factor by less, is none.
FEW_DEGREES, BETTER = 1.0, 0.02
#: Refinements of the angle with the probe and of the probe with the angle, as long as it turns.
TURNS, SETTLED = 3, 0.3
#: Offsets in degrees of the last rounds, through which a parabola is laid.
LAST = ((-6.0, -3.0, 0.0, 3.0, 6.0), (-3.0, -1.5, 0.0, 1.5, 3.0))


@frozen(kw_only=True, eq=False)
class Rotation:
    """The decision about the rotation, with its table.

    Attributes
    ----------
    degrees : float
        From x to y, of positions that were mirrored before; 0 if nothing was decided.
    mirrored : bool
        Whether y changes its sign, before the rotation.
    decided : bool
        Whether it is clearly better than all others. With an unknown probe its twin remains.
    twin : bool
        Whether the opposite angle, with the other sign of defocus, explains the patterns as well.
    table : list of Trial
        The best first, no two of them neighbours.
    first_probe : FirstProbe or None
        For positions as `turned` returns them, if the probe was searched too.
    """

    degrees: float
    mirrored: bool
    decided: bool
    twin: bool
    table: list[Trial] = field(factory=list)
    first_probe: FirstProbe | None = None

    def describe(self) -> str:
        """Return the table and the decision as lines of text."""
        lines = ["rotation                                     R-factor"]
        for one in self.table:
            name = _name(one.degrees, one.symmetry == MIRRORED)
            if self.twin:
                name += f" / {_opposite(one.degrees):.0f}"
            lines.append(f"{name:<44} {one.r_factor:8.4f}")
        if not self.decided:
            return "\n".join([*lines, "not decided: others explain the patterns about as well"])
        found = f"--rotate {self.degrees:.1f}"
        chosen = f"--flip-y {found}" if self.mirrored else found
        if self.twin:
            chosen += (
                f", or its twin {_opposite(self.degrees):.1f}: the patterns cannot tell them apart"
            )
        return "\n".join([*lines, chosen if self.twin else f"decided: {chosen}"])


def turned(scan: Scan, degrees: float, *, mirrored: bool = False) -> Scan:
    """Return a scan with turned positions.

    Parameters
    ----------
    scan : Scan
        What belongs to the old positions is left out: object, patches, nominal positions.
    degrees
        From x to y.
    mirrored
        Change the sign of y, before.
    """
    x, y = _turned(scan.positions, degrees, mirrored=mirrored).T
    return evolve(
        scan, xcoords=x, ycoords=y, xcoords_start=None, ycoords_start=None, object_guess=None,
        patches=None, origin_m=None,
    )  # fmt: skip


def find_rotation(scan: Scan, *, probe_known: bool | None = None, mirrors: bool = True) -> Rotation:
    """Find by which angle the positions are turned against the patterns.

    Parameters
    ----------
    scan : Scan
        Patterns centred; a part around the middle of the scan is used.
    probe_known
        Whether the scan's probe is right; otherwise its curvature is searched as well. Default:
        unless the program made it.
    mirrors
        Try mirrored positions, too.

    Returns
    -------
    Rotation

    Raises
    ------
    InvalidValueError
        If there are too few patterns, or all of them are zero.
    """
    require_patterns(scan)
    known = not scan.probe_made if probe_known is None else probe_known
    coarse, part = (CentralPart.of(scan, n, known=known) for n in (COARSE, FINE))
    symmetries = (PLAIN, MIRRORED) if mirrors else (PLAIN,)
    log.info("searching the rotation of %s", scan.source or "the scan")
    starts = _starts(coarse, part, symmetries)
    first = sorted(tried(coarse, starts, EPOCHS[0]), key=_r_factor)
    near = _around(_distinct(first, KEPT, coarse), coarse)
    second = sorted(tried(coarse, near, EPOCHS[1]), key=_r_factor)
    table = _distinct(second, KEPT, coarse)
    undecided = Rotation(degrees=0.0, mirrored=False, decided=False, twin=not known, table=table)
    if not _is_clear(first, coarse):
        return undecided
    best = table[0]
    for offsets in LAST:
        best = _lowest(part, best, offsets)
    mirrored, found = best.symmetry == MIRRORED, None
    if not known:
        right = turned(scan, best.degrees, mirrored=mirrored)
        found = refined_trial(right, part, [best])
        if found.verdict.doubtful:  # the curvature alone is not the whole probe
            refined = judged_probe(right, found.probe)
            found = evolve(found, probe=refined.probe, verdict=refined.verdict)
        if found.verdict.doubtful:  # the best of all, and wrong all the same
            return undecided
        degrees, found = _with_probe(scan, best.degrees, mirrored, found)
    else:
        degrees = best.degrees
    return evolve(undecided, degrees=degrees, mirrored=mirrored, decided=True, first_probe=found)


def _with_probe(
    scan: Scan, degrees: float, mirrored: bool, found: FirstProbe
) -> tuple[float, FirstProbe]:
    """Return the angle that patterns tell with the probe that was found at another one.

    A curvature makes up for a part of a wrong angle, and the angle for a part of a wrong curvature:
    in turns, each gets better.
    """
    for _ in range(TURNS):
        right = evolve(turned(scan, degrees, mirrored=mirrored), probe=found.probe)
        part, more = CentralPart.of(right, FINE, known=True), Trial(diameter=0.0)
        for offsets in LAST:
            more = _lowest(part, more, offsets)
        if abs(more.degrees) < SETTLED:
            break
        better = judged_probe(turned(scan, degrees + more.degrees, mirrored=mirrored), found.probe)
        if better.verdict.r_factor > found.verdict.r_factor:
            break
        degrees = round(_within(degrees + more.degrees), 2)
        found = evolve(found, probe=better.probe, verdict=better.verdict)
    return degrees, found


def still_turned(scan: Scan) -> str | None:
    """Return the doubt that positions are turned by a few degrees, or None.

    Parameters
    ----------
    scan : Scan
        With the right orientation and a probe that was found with it.
    """
    part = CentralPart.of(scan, known=True)
    as_is = tried(part, [Trial(diameter=0.0)], EPOCHS[1])[0]
    best = _lowest(part, as_is, LAST[0])
    if abs(best.degrees) < FEW_DEGREES or best.r_factor > (1 - BETTER) * as_is.r_factor:
        return None
    return (
        f"positions turned by about {best.degrees:+.0f} degrees explain the patterns better "
        f"(R-factor {best.r_factor:.4f} instead of {as_is.r_factor:.4f}): try --rotate auto"
    )


def _starts(coarse: CentralPart, part: CentralPart, symmetries: Sequence[int]) -> list[Trial]:
    """Return trials at all angles, or around those that the centres of mass tell."""
    period = _period(coarse)
    centres = centres_of_mass(part.counts, part.mask)
    guesses = {
        symmetry: curl_free_angle(
            centres, part.turned(Trial(diameter=0.0, symmetry=symmetry)).positions
        )
        for symmetry in symmetries
    }
    told = any(guess is not None for guess in guesses.values())
    starts = []
    for symmetry, guess in guesses.items():
        angles = np.arange(-period / 2, period / 2, COMPARED if told else STEP)
        if guess is not None:
            near = guess + STEP * np.array([-1.0, 0.0, 1.0])
            angles = np.concatenate([near + shift for shift in np.arange(0, period, 180.0)])
        starts += [
            Trial(diameter=diameter, symmetry=symmetry, degrees=_within(float(angle)))
            for angle in angles
            for diameter in ((0.0,) if coarse.known is not None else curvatures(coarse))
        ]
    return starts


def _around(trials: Iterable[Trial], part: CentralPart) -> list[Trial]:
    """Return trials half a step beside those of the first round."""
    step = curvatures(part)[1] - curvatures(part)[0]
    shifts = (0.0,) if part.known is not None else (-0.5, 0.0, 0.5)
    return [
        evolve(trial, degrees=trial.degrees + turn, diameter=trial.diameter + shift * step)
        for trial in trials
        for turn in (-STEP / 2, 0.0, STEP / 2)
        for shift in shifts
    ]


def _is_clear(ranked: Sequence[Trial], part: CentralPart) -> bool:
    """Whether the best trial stands out: from others at other angles, against what most explain."""
    finite = [trial for trial in ranked if np.isfinite(trial.r_factor)]
    distinct = _distinct(finite, 2, part)
    if not distinct:
        return False
    usual = float(np.median([trial.r_factor for trial in finite]))
    gain = [usual - trial.r_factor for trial in distinct]
    return gain[0] > 0 and (len(gain) < 2 or gain[1] < CLEAR * gain[0])


def _lowest(part: CentralPart, best: Trial, offsets: Sequence[float]) -> Trial:
    """Return the trial at the lowest point of a parabola through trials around the best."""
    near = [evolve(best, degrees=best.degrees + offset) for offset in offsets]
    r_factors = [one.r_factor for one in tried(part, near, EPOCHS[1])]
    shift = offsets[int(np.argmin(r_factors))]
    if np.isfinite(r_factors).all():
        bend, slope, _ = np.polyfit(offsets, r_factors, 2)
        if bend > 0:
            shift = float(np.clip(-slope / (2 * bend), offsets[0], offsets[-1]))
    degrees = round(_within(best.degrees + shift), 2) + 0.0  # no -0.0
    return tried(part, [evolve(best, degrees=degrees)], EPOCHS[1])[0]


def _distinct(ranked: Iterable[Trial], number: int, part: CentralPart) -> list[Trial]:
    """Return the best trials whose angles are no neighbours of a better one."""
    kept: list[Trial] = []
    for trial in ranked:
        neighbour = any(
            trial.symmetry == other.symmetry
            and abs(_within(trial.degrees - other.degrees, _period(part))) < APART
            for other in kept
        )
        if not neighbour and len(kept) < number:
            kept.append(trial)
    return kept


def _period(part: CentralPart) -> float:
    """Angles that differ by so much are twins, or the same."""
    return 360.0 if part.known is not None else 180.0


def _within(degrees: float, period: float = 360.0) -> float:
    return (degrees + period / 2) % period - period / 2


def _opposite(degrees: float) -> float:
    return _within(degrees + 180)


def _turned(
    positions: NDArray[np.float64], degrees: float, *, mirrored: bool
) -> NDArray[np.float64]:
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    signs = np.array([1.0, -1.0 if mirrored else 1.0])
    return np.asarray((positions * signs) @ np.array([[cos, sin], [-sin, cos]]))


def _name(degrees: float, mirrored: bool) -> str:
    return f"{'--flip-y ' if mirrored else ''}--rotate {degrees:.0f}"


def _r_factor(trial: Trial) -> float:
    return trial.r_factor
