"""A first probe for a scan that has none: from the patterns, judged by the solver.

The curvature of the wavefront is searched on a part of the scan, the best is refined on more
patterns, and the verdict tells whether patterns are explained. Whatever the patterns cannot tell is
said: with unknown signs of the positions, the twin is as good.
"""

import logging
import math
from typing import Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan
from ptycho_data.units import wavelength
from ptycho_physics.optics import curved_probe
from ptycho_physics.probe_sampling import resample_probe

from ptycho_core.analysis.twin import beam_at_sample
from ptycho_core.analysis.verdict import Verdict, describe_fit
from ptycho_core.cautions import Caution, report
from ptycho_core.first_probe.curvature import (
    CentralPart,
    Trial,
    defocus_of,
    far_field_amplitude,
    search_curvature,
    unrefined,
)
from ptycho_core.starting_probe import JUDGED, probe_verdict, refine_probe, spread_part

__all__ = [
    "GUESSED_PROBE",
    "FirstProbe",
    "embedded",
    "find_first_probe",
    "judged_probe",
    "pays",
    "searched_probes",
]

log = logging.getLogger(__name__)

#: Code of the caution about the guess that a first probe replaces.
GUESSED_PROBE = "guessed-probe"
#: Fewest patterns with light from which a probe is searched.
FEWEST = 16
#: Patterns on which the found probe is refined and judged.
REFINED_ON = 256
#: A second curvature whose R-factor is so close to the best is as good.
ALIKE = 1.03
#: Fidelity from which two starts were refined to one probe.
ALIKE_PROBES = 0.7
#: More modes, and light of each pattern, pay if they lower the R-factor by this fraction; they are
#: tried where it is so many times that of photon noise.
PAYS, MODES, UNEXPLAINED = 0.05, 3, 1.1

TWIN = (
    "the twin (turned by 180 degrees, inverted phase, other sign of defocus and of both positions) "
    "explains the patterns equally well; docs/real-data.md says how to decide"
)


@frozen(kw_only=True, eq=False)
class FirstProbe:
    """A first probe, and how well it explains the patterns.

    Attributes
    ----------
    probe : (M, N, N) complex64 array
        Of unit power.
    verdict : Verdict
        Of the solver's object with this probe, on some neighbouring patterns.
    source : str
        Where it is from: ``data``, or the text that named it.
    diameter : float or None
        Width in pixels that the found defocus gives to the beam on the sample, negative if the
        beam converges.
    defocus_m : float or None
        Distance from the focus to the sample, positive downstream, if energy and pixel are known.
    undecided : list of str
        What the patterns could not tell.
    tried : list of dict
        Best diameters, with their R-factor on the part of the patterns that was searched.
    """

    probe: NDArray[np.complex64]
    verdict: Verdict
    source: str = "data"
    diameter: float | None = None
    defocus_m: float | None = None
    undecided: list[str] = field(factory=list)
    tried: list[dict[str, float]] = field(factory=list)

    def describe(self) -> str:
        """Return a line for people."""
        beam = beam_at_sample(self.probe)
        modes = f", {len(self.probe)} modes" if len(self.probe) > 1 else ""
        where = ""
        if self.diameter is not None:
            where = f", beam about {abs(self.diameter):.0f} pixels wide by defocus"
        if self.defocus_m is not None:
            where += f" ({self.defocus_m * 1e6:+.4g} um from the focus)"
        fit = describe_fit({"r_factor": self.verdict.r_factor, **self.verdict.metrics})
        return f"first probe from {self.source}{modes}{f', {beam}' if beam else ''}{where}: {fit}"

    @property
    def record(self) -> dict[str, Any]:
        """The entry of ``run.json``."""
        return {
            "source": self.source,
            "modes": len(self.probe),
            "diameter": self.diameter,
            "defocus_m": self.defocus_m,
            "r_factor": self.verdict.r_factor,
            **self.verdict.metrics,
            "undecided": self.undecided,
            "tried": self.tried,
        }

    @property
    def cautions(self) -> list[Caution]:
        """That it was found from the patterns alone, or the doubt about a bad fit."""
        fit = {"r_factor": self.verdict.r_factor, **self.verdict.metrics}
        found = []
        others = "".join(f"; {line}" for line in self.undecided)
        if self.verdict.doubtful:
            text = (
                "no first probe was found that explains the patterns; check the signs and axes of "
                f"the positions, the centre of the patterns and bad pixels{others}"
            )
            found.append(Caution(code="poor-first-probe", text=text, measured=fit))
        elif self.source == "data":
            text = f"the first probe was found from the patterns alone{others}"
            found.append(Caution(code="found-probe", text=text, measured=fit))
        return found


def find_first_probe(scan: Scan, *, modes: bool = True) -> FirstProbe:
    """Find the probe of a scan from its patterns and positions.

    Parameters
    ----------
    scan : Scan
        Patterns centred, positions in pixels of the object with their right signs; its own probe
        is not looked at.
    modes
        Try whether several incoherent modes explain the patterns better.

    Returns
    -------
    FirstProbe

    Raises
    ------
    InvalidValueError
        If there are too few patterns, or all of them are zero.
    DivergenceError
        If the solver diverges in the end.
    """
    require_patterns(scan)
    log.info("searching the probe of %s", scan.source or "the scan")
    part = CentralPart.of(scan)
    return refined_trial(scan, part, search_curvature(part), modes=modes)


def searched_probes(scans: list[Scan]) -> tuple[list[Scan], list[FirstProbe], list[Caution]]:
    """Find the probes of those scans that have only a guess; for a training, in one mode.

    Returns
    -------
    scans : list of Scan
        With the found probes.
    found : list of FirstProbe
        Of the scans that had a guess.
    cautions : list of Caution
        What was logged about them. A scan of too few patterns keeps its guess.
    """
    better, found, cautions = [], [], []
    for scan in scans:
        if not scan.probe_made:
            better.append(scan)
            continue
        try:
            one = find_first_probe(scan, modes=False)
        except InvalidValueError as error:
            text = f"the probe is a guess, in focus, which the true one seldom is: {error}"
            cautions += report([Caution(code=GUESSED_PROBE, text=text)], f"{scan.label}: ")
            better.append(scan)
            continue
        log.info("%s: %s", scan.label, one.describe())
        cautions += report(one.cautions, f"{scan.label}: ")
        better.append(evolve(scan, probe=one.probe, probe_made=False))
        found.append(one)
    return better, found, cautions


def refined_trial(
    scan: Scan, part: CentralPart, trials: list[Trial], *, modes: bool = True
) -> FirstProbe:
    """Return the probe of the best trial, refined on whole patterns of more of the scan."""
    best = trials[0]
    if best.solution is None:
        rule = "patterns that the solver can explain with some curvature of the probe"
        raise InvalidValueError("first probe", rule, "divergence of the solver for each of them")
    plain = unrefined(part, best)
    if plain is None:
        found = judged_probe(scan, embedded(scan, part, best), modes=modes)
    else:
        probe = embedded(scan, part, plain)
        found = FirstProbe(probe=probe, verdict=probe_verdict(spread_part(scan, JUDGED), probe))
    curvature, diameter = defocus_of(found.probe[:1])
    tried = [{"diameter": t.diameter * scan.N, "r_factor": t.r_factor} for t in trials]
    return evolve(
        found,
        diameter=diameter,
        defocus_m=_defocus(scan, curvature),
        undecided=[TWIN, *_others(scan, trials)],
        tried=[entry for entry in tried if math.isfinite(entry["r_factor"])],
    )


def judged_probe(
    scan: Scan, probe: NDArray[np.complex64], *, source: str = "data", modes: bool = False
) -> FirstProbe:
    """Refine a first probe on neighbouring patterns, and judge it there.

    Parameters
    ----------
    scan : Scan
    probe : (M, N, N) complex array
    source
        Where it is from.
    modes
        Add modes if they pay.
    """
    part = spread_part(scan, REFINED_ON)
    found, light = refine_probe(part, probe), False
    if _unexplained(found.verdict):
        lit = refine_probe(part, probe, light=True)
        light = pays(lit.verdict, found.verdict)
        found = lit if light else found
    if modes and len(found.probe) == 1 and _unexplained(found.verdict):
        more = refine_probe(part, found.probe, modes=MODES, light=light)
        found = more if pays(more.verdict, found.verdict) else found
    return FirstProbe(probe=found.probe, verdict=found.verdict, source=source)


def embedded(scan: Scan, part: CentralPart, trial: Trial) -> NDArray[np.complex64]:
    """Return the probe (1, N, N) of a trial: its far field in the middle, dark around it."""
    if trial.solution is None:
        middle = curved_probe(part.amplitude, trial.diameter * part.M / part.aperture)
    else:
        middle = np.asarray(trial.solution.probe)
    return resample_probe(middle, scan.N, scale=1 / part.shrink)


def pays(more: Verdict, less: Verdict) -> bool:
    """Tell whether a fit of more is so much better that what it fits is there."""
    return more.r_factor < (1 - PAYS) * less.r_factor


def _unexplained(verdict: Verdict) -> bool:
    return verdict.excess > 0 and (verdict.ratio or 2) > UNEXPLAINED


def require_patterns(scan: Scan) -> None:
    """Refuse a scan of too few patterns, or of dark ones.

    Raises
    ------
    InvalidValueError
    """
    if scan.n < FEWEST:
        advice = "give a probe: a file, or the optics"
        rule = f"of at least {FEWEST} patterns to find its probe from them"
        raise InvalidValueError("scan", rule, f"{scan.n}", advice)
    if not np.any(far_field_amplitude(scan)):
        raise InvalidValueError("scan", "of patterns with light", "zeros only")


def _others(scan: Scan, trials: list[Trial]) -> list[str]:
    """Other curvatures that are as good on the part that was searched."""
    best = trials[0]
    return [
        f"a beam {abs(t.diameter) * scan.N:.0f} pixels wide "
        f"({'diverging' if t.diameter >= 0 else 'converging'}) fits as well"
        for t in trials[1:]
        if t.r_factor < ALIKE * best.r_factor
        and ((t.diameter < 0) != (best.diameter < 0) or not _refined_alike(best, t))
    ]


def _refined_alike(one: Trial, other: Trial) -> bool:
    """Whether the solver refined two starts to one probe."""
    if one.solution is None or other.solution is None:
        return False
    a, b = (np.asarray(t.solution.probe).ravel() for t in (one, other))  # type: ignore[union-attr]
    return bool(abs(np.vdot(a, b)) > ALIKE_PROBES * float(np.linalg.norm(a) * np.linalg.norm(b)))


def _defocus(scan: Scan, curvature: float) -> float | None:
    """Distance from the focus in metres, of a curvature in square pixels."""
    if scan.photon_energy_ev is None or scan.pixel_size_m is None:
        return None
    return curvature * scan.pixel_size_m**2 / wavelength(scan.photon_energy_ev, scan.particle)
