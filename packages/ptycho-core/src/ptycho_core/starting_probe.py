"""The probe that a training starts from: judged by the solver on a part of the scan, or refined.

A network learns the object that the probe of its scan asks for. If that probe is wrong, the loss
falls and the picture is blurred, and no figure of the training tells. The solver tells within
seconds: on neighbouring patterns it explains the counts with the right probe, and with a wrong one
only after refining it.
"""

import logging
import math
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Scan
from ptycho_physics import Solution, solve

from ptycho_core.analysis.verdict import DOUBTFUL_EXCESS, Verdict, describe_fit, judge
from ptycho_core.cautions import Caution
from ptycho_core.fitted import Fitted
from ptycho_core.solving.solutions import reconstruction_of

__all__ = ["ProbeRefinement", "light_varies", "refine_probe", "spread_part", "start_cautions"]

log = logging.getLogger(__name__)

Probe = NDArray[np.complex64]

#: Patterns on which a start is judged, and the fewest that tell anything.
JUDGED, FEWEST = 48, 16
#: Settings of the solver, with the given probe and then with its refinement: many small steps.
JUDGING: dict[str, Any] = {"epochs": 8, "batch_size": 4}
#: A probe that refinement leaves as it is, up to this similarity, is not the reason for a misfit.
UNCHANGED = 0.995
#: The probe is the reason if refinement removes this part of the misfit.
REMOVED = 0.45

CHECK = (
    "check the signs and axes of the positions, the centre of the patterns, bad pixels and the "
    "first probe with ptycho reconstruct before training"
)

#: Refinement before a training: settings of the solver, and the most patterns it needs.
REFINEMENT: dict[str, Any] = {"epochs": 40, "batch_size": 32, "tolerance": 1e-3}
REFINED_ON = 1024

#: Relative variation of the light, beyond photon noise, from which it is fitted, and the photons of
#: a pattern up to which it is not.
VARIES, FEW_PHOTONS = 0.03, 1e4
#: Patterns that tell most about a probe are so far apart, as a part of the patch; halved in area so
#: often at most, where a scan has too few of them.
SPACING, HALVINGS = 1 / 32, 12


@frozen(kw_only=True, eq=False)
class ProbeRefinement:
    """A probe that the solver refined before a training.

    Attributes
    ----------
    probe : (M, N, N) complex64 array
    epochs : int
        Passes over the patterns.
    patterns : int
        Number of patterns that were used.
    verdict : Verdict
        Of the solver's object with the refined probe.
    """

    probe: Probe
    epochs: int
    patterns: int
    verdict: Verdict

    @property
    def cautions(self) -> list[Caution]:
        """The doubt about a scan that no probe explains."""
        if not self.verdict.doubtful:
            return []
        text = f"the patterns are badly explained: {_fit(self.verdict)} with the refined probe"
        fit = {"r_factor": self.verdict.r_factor, **self.verdict.metrics}
        return [Caution(code="poor-start", text=f"{text}; {CHECK}", measured=fit)]

    @property
    def record(self) -> dict[str, Any]:
        """The entry of ``run.json``."""
        fit = {"r_factor": self.verdict.r_factor, **self.verdict.metrics}
        return {"epochs": self.epochs, "patterns": self.patterns, **fit}


def start_cautions(scan: Scan, probe: Probe | None = None) -> list[Caution]:
    """Return the doubts about a scan and the probe that a training would use.

    Parameters
    ----------
    scan : Scan
        At most `JUDGED` neighbouring patterns of it are read.
    probe : (M, N, N) array, optional
        Probe to use instead of the scan's.

    Returns
    -------
    list of Caution
        ``poor-probe``: the patterns are explained if the probe is refined. ``poor-start``: they are
        hardly explained even then. Empty if the probe explains them, or too few patterns tell.
    """
    part = neighbourhood(scan, JUDGED)
    if part.n < FEWEST:
        return []
    given = scan.probe if probe is None else probe
    first = _solved(part, given, **JUDGING)
    before = _judged(first, part)
    known = before.ratio is not None
    if before.excess <= DOUBTFUL_EXCESS or (known and not before.doubtful):
        return []
    refining: dict[str, Any] = {"initial": first.object, "update_probe": True, "probe_start": 0}
    second = _solved(part, given, **JUDGING, **refining)
    after = _judged(second, part)
    if similarity(given, second.probe) > UNCHANGED:
        return []
    measured: dict[str, Any] = {"r_factor": before.r_factor, "r_factor_refined": after.r_factor}
    if known:
        measured |= {"r_over_noise": before.ratio, "r_over_noise_refined": after.ratio}
    fits = f"{_fit(before)} with this probe, and {_fit(after)} when the solver refines it"
    if after.excess < (1 - REMOVED) * before.excess:
        advice = "train with --refine-probe, or give a refined probe with --probe-file"
        text = f"the probe explains the patterns badly: {fits}; {advice}"
        return [Caution(code="poor-probe", text=text, measured=measured)]
    if not known:  # it may be the noise of few photons
        return []
    text = f"the patterns are badly explained: {fits}; {CHECK}"
    return [Caution(code="poor-start", text=text, measured=measured)]


def refine_probe(
    scan: Scan,
    probe: Probe | None = None,
    *,
    modes: int | None = None,
    light: bool = False,
) -> ProbeRefinement:
    """Refine the probe of a scan with the solver, from a uniform object.

    Parameters
    ----------
    scan : Scan
        At most `REFINED_ON` neighbouring patterns of it are used.
    probe : (M, N, N) array, optional
        Probe to start from. Default: the scan's.
    modes
        Number of incoherent modes to refine from a single one.
    light
        Fit the intensity of the beam in each pattern, too, which networks do not.

    Raises
    ------
    InvalidValueError
        If all patterns are zero.
    DivergenceError
        If the solver diverges.
    """
    part = neighbourhood(scan, REFINED_ON)
    log.info("refining the probe of %s on %d patterns", scan.source or "the scan", part.n)
    start = scan.probe if probe is None else probe
    solution = _solved(
        part, start, update_probe=True, modes=modes, refine_light=light, **REFINEMENT
    )
    verdict = _judged(solution, part)
    log.info("refined the probe in %d epochs: %s", len(solution.r_factors), _fit(verdict))
    return ProbeRefinement(
        probe=np.asarray(solution.probe),
        epochs=len(solution.r_factors),
        patterns=part.n,
        verdict=verdict,
    )


def probe_verdict(part: Scan, probe: Probe) -> Verdict:
    """Return how well the solver explains patterns with a probe as it is."""
    return _judged(_solved(part, probe, **JUDGING), part)


def neighbourhood(scan: Scan, number: int) -> Scan:
    """Return the patterns nearest to the middle of a scan; all of them if there are no more."""
    if scan.n <= number:
        return scan
    distances = np.sum((scan.positions - np.median(scan.positions, axis=0)) ** 2, axis=1)
    return scan.select(np.sort(np.argpartition(distances, number)[:number]))


def light_varies(part: Scan) -> bool:
    """Tell whether patterns have more and less light, by more than their photon noise.

    It may be the sample that absorbs: then fitting it costs little. At few photons a light that is
    fitted follows the noise, so it is taken as steady there.
    """
    totals = part.intensity_totals
    mean = float(totals.mean())
    if not mean > (FEW_PHOTONS if part.domain == "counts" else 0):
        return False
    noise = 1 / mean if part.domain == "counts" else 0.0
    return float(totals.var()) / mean**2 - noise > VARIES**2


def spread_part(scan: Scan, number: int) -> Scan:
    """Return patterns around the middle of a scan that are not too close together.

    In a dense raster the nearest patterns all see the same few pixels of the object: they explain
    themselves with any probe, and with positions turned by any angle. So those closer than
    `SPACING` of the patch to one that is nearer to the middle are left out, if enough remain.
    """
    if scan.n <= number:
        return scan
    from scipy.spatial import cKDTree  # takes long to import

    centre = np.median(scan.positions, axis=0)
    order = np.argsort(np.sum((scan.positions - centre) ** 2, axis=1), kind="stable")
    tree = cKDTree(scan.positions[order])
    spacing = SPACING * scan.N
    for _ in range(HALVINGS):
        kept = np.ones(scan.n, bool)
        chosen: list[int] = []
        for one in range(scan.n):
            if kept[one]:
                chosen.append(one)
                if len(chosen) == number:
                    return scan.select(np.sort(order[chosen]))
                kept[tree.query_ball_point(tree.data[one], 0.999 * spacing)] = False
        spacing /= math.sqrt(2)
    return neighbourhood(scan, number)


def similarity(one: Probe, other: Probe) -> float:
    """Fidelity of two probes, whatever the basis of their modes: one if they are equal.

    It is the sum of the singular values of the inner products of their modes (M, M), at unit power.
    """
    a, b = (np.reshape(probe, (len(probe), -1)) / np.linalg.norm(probe) for probe in (one, other))
    return float(np.linalg.svd(a.conj() @ b.T, compute_uv=False).sum())


def _solved(part: Scan, probe: Probe, **settings: Any) -> Solution:
    counts = part.counts(nphotons=1.0)
    # of the last object, from which the probe follows, and in an unknown unit
    settings = {"average": False, "mask": part.bad_pixels, **settings}
    return solve(counts, part.positions, probe, **settings)


def _judged(solution: Solution, part: Scan) -> Verdict:
    return judge(reconstruction_of(solution, part), part, fitted=Fitted.of(solution))


def _fit(verdict: Verdict) -> str:
    return describe_fit({"r_factor": verdict.r_factor, **verdict.metrics})
