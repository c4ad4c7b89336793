"""A quick reconstruction of a part of a prepared scan, to see whether it was prepared well."""

from typing import Any

from attrs import frozen
from ptycho_data import Reconstruction, Scan
from ptycho_physics import DivergenceError, solve

from ptycho_core.analysis.verdict import Verdict, describe_fit, judge
from ptycho_core.solving.solutions import reconstruction_of
from ptycho_core.starting_probe import neighbourhood

__all__ = ["QuickLook", "quick_look"]

#: Patterns of the quick reconstruction, and its settings.
PATTERNS, EPOCHS, BATCH = 256, 16, 16


@frozen(kw_only=True, eq=False)
class QuickLook:
    """A quick reconstruction of a part of a scan.

    Attributes
    ----------
    reconstruction : Reconstruction
    verdict : Verdict
    patterns : int
        How many patterns it is of.
    """

    reconstruction: Reconstruction
    verdict: Verdict
    patterns: int

    def describe(self) -> str:
        """Return a line for people."""
        fit = describe_fit({"r_factor": self.verdict.r_factor, **self.verdict.metrics})
        return f"quick reconstruction of {self.patterns} patterns: {fit}"


def quick_look(scan: Scan) -> QuickLook | None:
    """Reconstruct the middle of a scan with a few passes of the solver.

    Returns
    -------
    QuickLook or None
        None if the solver diverges.
    """
    part = neighbourhood(scan, PATTERNS)
    settings: dict[str, Any] = {"epochs": EPOCHS, "batch_size": BATCH, "mask": part.bad_pixels}
    settings["average"] = False  # few epochs, and counts in an unknown unit
    try:
        solution = solve(
            part.counts(nphotons=1.0), part.positions, part.probe, update_probe=True, **settings
        )
    except DivergenceError:
        return None
    found = reconstruction_of(solution, part)
    return QuickLook(reconstruction=found, verdict=judge(found, part), patterns=part.n)
