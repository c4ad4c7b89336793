"""Results of the iterative solver."""

from pathlib import Path
from typing import Any

from attrs import field, frozen
from ptycho_data import Reconstruction

from ptycho_core.analysis.verdict import Verdict
from ptycho_core.cautions import Caution
from ptycho_core.fitted import Fitted
from ptycho_core.record import UNFINISHED
from ptycho_core.results import ReconstructionResult, result_facts

__all__ = ["SolverInterrupted", "SolverResult"]

#: What is said of a run that did not complete all epochs, or of one that did.
_ENDINGS = {
    "epochs": "",
    "plateau": ", ended at a plateau",
    "held-out": ", ended by the held-out patterns",
    "interrupted": ", interrupted",
    "max_time": ", out of time",
}


@frozen(kw_only=True, eq=False, repr=False)
class SolverResult(ReconstructionResult):
    """A reconstruction by the solver.

    Attributes
    ----------
    reconstruction : Reconstruction
        With the refined probe and positions, if they were refined.
    r_factors : list of float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` during each epoch, before its updates.
    stopped : str
        "epochs" if all epochs were completed, "plateau" if the R-factor stopped falling,
        "held-out" if the held-out patterns were predicted no better, "interrupted", or
        "max_time" if the time was over.
    positions_moved_rms : float
        Root mean square displacement of the positions, in pixels; 0 if they were not refined.
    fitted : Fitted
        Light and background of the patterns, and the prediction of those that were held out.
    verdict : Verdict
        Comparison with photon noise.
    cautions : list of Caution
        Doubts about the scan and about the result.
    metrics : dict
        Figures of merit, as in ``metrics.json``.
    patterns_per_second : float
        Number of patterns divided by the time of the solver.
    path : Path or None
        Folder of the results; None if nothing was written.
    main_process : bool
        Whether this process judges, reports and writes, if there are several.
    """

    reconstruction: Reconstruction
    r_factors: list[float]
    stopped: str
    positions_moved_rms: float
    fitted: Fitted = field(factory=Fitted)
    verdict: Verdict
    cautions: list[Caution] = field(factory=list)
    metrics: dict[str, Any] = field(factory=dict)
    patterns_per_second: float
    path: Path | None = None
    main_process: bool = True

    def _facts(self) -> dict[str, str]:
        return result_facts(self.reconstruction, self.r_factor, self.verdict, self.path) | {
            "epochs": f"{len(self.r_factors)}{_ENDINGS[self.stopped]}",
        }

    def _method(self) -> str:
        return f"solver, {len(self.r_factors)} epochs"

    def _r_factors(self) -> list[float]:
        return self.r_factors

    @property
    def r_factor(self) -> float:
        """R-factor of the result, see `Verdict`: after all updates, unlike those of the epochs."""
        return self.verdict.r_factor

    @property
    def complete(self) -> bool:
        """Whether it ended by itself, so that there is nothing to resume."""
        return self.stopped not in UNFINISHED


class SolverInterrupted(KeyboardInterrupt):
    """The solver was interrupted; holds the result so far, which is written if an output was given.

    Attributes
    ----------
    result : SolverResult
    """

    def __init__(self, result: SolverResult) -> None:
        done = len(result.r_factors)
        after = f"interrupted after {done} epoch{'' if done == 1 else 's'}"
        if result.complete:
            rest = "the reconstruction is complete"
            if result.metrics.get("half_scan_frc", True) is None:
                rest += ", but without its half-scan FRC"
        else:
            rest = "the result so far was kept"
            rest = rest if result.path is None else f"{rest}; continue with --resume"
        super().__init__(f"{after}: {rest}")
        self.result = result
