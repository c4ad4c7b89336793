"""An attended run of the solver: it is saved meanwhile, and can be interrupted and limited."""

import time
from collections.abc import Callable
from typing import Literal

from attrs import define, field
from ptycho_physics import Processes, State

from ptycho_core.interrupts import Interrupts
from ptycho_core.solving.checkpoint import SolverCheckpoint
from ptycho_core.sparing import sparing_results

__all__ = ["Attendance"]

#: Seconds of work between two checkpoints, and how many times as long as it takes to write one.
EVERY_S, EVERY_TIMES = 60.0, 20.0


@define(kw_only=True, eq=False)
class Attendance:
    """Decides between two batches of the solver whether it ends, and saves its state.

    Attributes
    ----------
    interrupts : Interrupts
    deadline : float or None
        When the run has to end, by `time.monotonic`.
    checkpoint : SolverCheckpoint or None
        Where to save the state; None saves none.
    processes : Processes
        That solve together: what ends one of them ends all.
    stopped : str
        Why the run was ended here; empty if it was not.
    """

    interrupts: Interrupts
    deadline: float | None = None
    checkpoint: SolverCheckpoint | None = None
    processes: Processes = Processes()
    stopped: Literal["", "interrupted", "max_time"] = ""
    _due: float = field(init=False)

    @_due.default
    def _after_the_first_interval(self) -> float:
        return time.monotonic() + EVERY_S

    @property
    def overdue(self) -> bool:
        """Whether the time is over, for any of the processes."""
        mine = self.deadline is not None and time.monotonic() >= self.deadline
        return self.processes.any(mine)

    @property
    def interrupted(self) -> bool:
        """Whether any of the processes was interrupted."""
        return self.processes.any(self.interrupts.arrived)

    def between(self, state: Callable[[], State]) -> bool:
        """Argument ``between`` of `ptycho_physics.solve`."""
        now = time.monotonic()
        if self.interrupted:
            self.stopped = "interrupted"
        elif self.overdue:
            self.stopped = "max_time"
        if self.checkpoint is not None and (self.stopped or now >= self._due):
            with sparing_results("no checkpoint"):
                self.checkpoint.write(state())
            end = time.monotonic()
            self._due = end + max(EVERY_S, EVERY_TIMES * (end - now))
        return bool(self.stopped)
