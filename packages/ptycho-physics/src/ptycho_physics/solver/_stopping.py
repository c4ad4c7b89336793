"""Stopping of the solver: at a plateau of the R-factor, or by divergence."""

import math

from attrs import define, field
from ptycho_config.errors import PtychoError

DIVERGED = 3.0
"""An R-factor this many times the best so far means divergence."""

NOT_FINITE = "the residual is no longer finite"


class DivergenceError(PtychoError, ArithmeticError):
    """The solver diverged: its R-factor rose to several times its best, or is not finite."""


@define
class Watch:
    """Monitors the R-factor of a run.

    Attributes
    ----------
    tolerance : float or None
        Relative improvement over ``patience`` epochs below which the run has converged; None: it
        never stops.
    patience : int
        Epochs over which the improvement is measured.
    settled : int
        Epochs until all refinements are active; an earlier plateau is ignored.
    r_factors : list of float
        R-factor of every epoch.
    """

    tolerance: float | None
    patience: int
    settled: int = 0
    r_factors: list[float] = field(factory=list)

    def add(self, r_factor: float) -> bool:
        """Record the R-factor of an epoch, and return whether the run has converged.

        Raises
        ------
        DivergenceError
            If it is not finite, or several times the best so far.
        """
        epoch = len(self.r_factors) + 1
        if not math.isfinite(r_factor):
            raise DivergenceError(diverged(epoch, NOT_FINITE))
        best = min(self.r_factors, default=r_factor)
        if r_factor > DIVERGED * best:
            raise DivergenceError(diverged(epoch, f"R-factor {r_factor:.3g} after {best:.3g}"))
        self.r_factors.append(r_factor)
        return self._converged()

    def _converged(self) -> bool:
        if self.tolerance is None or len(self.r_factors) <= self.settled + self.patience:
            return False
        before = min(self.r_factors[: -self.patience])
        recent = min(self.r_factors[-self.patience :])
        return before - recent < self.tolerance * before


def diverged(epoch: int, what: str) -> str:
    """Return the message of a run that diverged."""
    return f"solver diverged in epoch {epoch}: {what}; raise relaxation or lower batch_size"
