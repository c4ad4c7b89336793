"""A quick reconstruction of a part of a prepared scan, to see whether it was prepared well."""

import numpy as np
from attrs import frozen
from ptycho_data import Reconstruction, Scan
from ptycho_physics import DivergenceError, solve

from ptycho_core.analysis.verdict import Verdict, describe_fit, judge
from ptycho_core.first_probe.search import pays
from ptycho_core.fitted import Fitted
from ptycho_core.solving.solutions import reconstruction_of
from ptycho_core.starting_probe import neighbourhood

__all__ = ["QuickLook", "quick_look"]

#: Patterns of the quick reconstruction, and its settings.
PATTERNS, EPOCHS, BATCH = 256, 16, 16
#: R-factor over photon noise up to which nothing is left to explain.
EXPLAINED = 1.15


@frozen(kw_only=True, eq=False)
class QuickLook:
    """A quick reconstruction of a part of a scan.

    Attributes
    ----------
    reconstruction : Reconstruction
    verdict : Verdict
    patterns : int
        How many patterns it is of.
    light_rms : float or None
        By how much the intensity of the beam varies from pattern to pattern, relative to its mean;
        None where nothing asks for that.
    """

    reconstruction: Reconstruction
    verdict: Verdict
    patterns: int
    light_rms: float | None = None

    @property
    def switches(self) -> str:
        """Options of ``ptycho reconstruct`` for the whole scan: all that may explain the rest."""
        return "--update-probe" if self.explained else "--auto"

    @property
    def explained(self) -> bool:
        """Whether photon noise accounts for the misfit, as far as one can know."""
        ratio = self.verdict.ratio
        return ratio is None or ratio <= EXPLAINED

    def describe(self) -> str:
        """Return a line for people."""
        fit = describe_fit({"r_factor": self.verdict.r_factor, **self.verdict.metrics})
        light = "" if self.light_rms is None else f", light +-{self.light_rms:.0%}"
        return f"quick reconstruction of {self.patterns} patterns: {fit}{light}"


def quick_look(scan: Scan) -> QuickLook | None:
    """Reconstruct the middle of a scan with a few passes of the solver.

    Where its patterns are not explained, the light of each is fitted too, if that pays.

    Returns
    -------
    QuickLook or None
        None if the solver diverges.
    """
    part = neighbourhood(scan, PATTERNS)
    plain = _look(part, light=False)
    if plain is None or plain.explained:
        return plain
    lit = _look(part, light=True)
    return lit if lit is not None and pays(lit.verdict, plain.verdict) else plain


def _look(part: Scan, *, light: bool) -> QuickLook | None:
    try:
        solution = solve(
            part.counts(nphotons=1.0),
            part.positions,
            part.probe,
            epochs=EPOCHS,
            batch_size=BATCH,
            mask=part.bad_pixels,
            average=False,  # few epochs, and counts in an unknown unit
            update_probe=True,
            refine_light=light,
        )
    except DivergenceError:
        return None
    found, fitted = reconstruction_of(solution, part), Fitted.of(solution)
    return QuickLook(
        reconstruction=found,
        verdict=judge(found, part, fitted=fitted),
        patterns=part.n,
        light_rms=None if fitted.light is None else float(np.std(fitted.light)),
    )
