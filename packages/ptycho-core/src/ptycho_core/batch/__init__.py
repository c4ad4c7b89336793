"""Many scans in one process: which ones, where to, what became of each, and what need not be done.

`plan_jobs` makes a `Job` of each scan, `run_jobs` works on them one after the other and returns an
`Outcome` for each. `is_done` tells whether the folder of a job holds the result that is asked for.
"""

from ptycho_core.batch.finished import (
    NOT_REFINED,
    OtherResultError,
    Request,
    finished_before,
    finished_result,
    is_done,
    made_as_asked,
)
from ptycho_core.batch.jobs import Job, plan_jobs
from ptycho_core.batch.outcomes import Finished, Outcome, State
from ptycho_core.batch.running import run_jobs

__all__ = [
    "NOT_REFINED",
    "Finished",
    "Job",
    "OtherResultError",
    "Outcome",
    "Request",
    "State",
    "finished_before",
    "finished_result",
    "is_done",
    "made_as_asked",
    "plan_jobs",
    "run_jobs",
]
