"""What became of the scans of a batch."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from ptycho_core.batch.jobs import Job

__all__ = ["Finished", "Outcome", "State"]


class State(StrEnum):
    """What became of a job."""

    DONE = "done"
    SKIPPED = "skipped"
    BELOW_QUALITY = "below quality"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


def _scalars(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out curves: memory must not grow with the number of scans."""
    return {k: v for k, v in metrics.items() if isinstance(v, str | int | float | None)}


@frozen(kw_only=True)
class Finished:
    """What the work on one scan returns.

    Attributes
    ----------
    metrics : dict
        Figures of merit; numbers and texts are kept.
    patterns : int or None
        Number of patterns.
    patterns_per_second : float or None
        Rate of the reconstruction itself.
    problem : str
        Why the job counts as failed although its results are written; empty if it does not.
    main_process : bool
        Whether this process reports, if there are several.
    """

    metrics: dict[str, Any] = field(factory=dict, converter=_scalars)
    patterns: int | None = None
    patterns_per_second: float | None = None
    problem: str = ""
    main_process: bool = True


@frozen(kw_only=True)
class Outcome:
    """What became of one job.

    Attributes
    ----------
    job : Job
    state : State
    code : int
        Exit code of a command for this job alone, see `ptycho_core.exit_codes`.
    reason : str
        In one line, unless the state is done.
    seconds : float
        Wall time.
    finished : Finished
        What the work returned; empty if it did not.
    """

    job: Job
    state: State
    code: int
    reason: str = ""
    seconds: float = 0.0
    finished: Finished = field(factory=Finished)

    @property
    def metrics(self) -> dict[str, Any]:
        """Figures of merit."""
        return self.finished.metrics

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a line of JSON."""
        return {
            "name": self.job.name,
            "inputs": [str(path) for path in self.job.inputs],
            "output": str(self.job.output),
            "state": self.state.value,
            "code": self.code,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "patterns": self.finished.patterns,
            "patterns_per_second": self.finished.patterns_per_second,
            "metrics": self.metrics,
        }
