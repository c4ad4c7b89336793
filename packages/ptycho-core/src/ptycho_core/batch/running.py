"""Work on many scans one after the other in one process."""

import logging
import time
from collections.abc import Callable, Iterable

from ptycho_config.errors import PtychoError
from ptycho_data import NoSpaceError

from ptycho_core.batch.jobs import Job
from ptycho_core.batch.outcomes import Finished, Outcome, State
from ptycho_core.exit_codes import (
    BELOW_QUALITY,
    FAILED,
    INTERRUPTED,
    OK,
    BelowQualityError,
    code_of,
)

__all__ = ["run_jobs"]

log = logging.getLogger(__name__)


def run_jobs(
    jobs: Iterable[Job],
    work: Callable[[Job], Finished],
    *,
    skip_done: Callable[[Job], Finished | None] | None = None,
    judge: Callable[[Finished], None] | None = None,
    keep_going: bool = False,
    fatal: tuple[type[Exception], ...] = (NoSpaceError,),
    on_done: Callable[[Outcome, BaseException | None], None] | None = None,
) -> list[Outcome]:
    """Work on jobs until all are done, one fails, or the process is interrupted.

    Parameters
    ----------
    jobs
        What to do.
    work
        Does one, and writes its results.
    skip_done
        Returns what is there of one that is done already, else None; see
        `ptycho_core.batch.is_done`. It is judged like what is made now.
    judge
        Raises `BelowQualityError` for results that do not reach the quality asked for. The batch
        goes on.
    keep_going
        Go on after a job has failed.
    fatal
        Errors that end the batch nevertheless, such as a full disk: no other job would do better.
    on_done
        Called after each job with its outcome and the error behind it, which is not kept.

    Returns
    -------
    list of Outcome
        One for each job that was begun, in their order. An interruption is not raised: it is the
        state of the last one.
    """
    outcomes: list[Outcome] = []
    for job in jobs:
        outcome, error = _run(job, work, skip_done, judge)
        outcomes.append(outcome)
        if on_done is not None:
            on_done(outcome, error)
        failed = outcome.state is State.FAILED
        ends = isinstance(error, fatal) or not keep_going
        if outcome.state is State.INTERRUPTED or (failed and ends):
            break
    return outcomes


def _run(
    job: Job,
    work: Callable[[Job], Finished],
    skip_done: Callable[[Job], Finished | None] | None,
    judge: Callable[[Finished], None] | None,
) -> tuple[Outcome, BaseException | None]:
    start, finished = time.perf_counter(), Finished()
    state, code, reason = State.DONE, OK, ""
    error: BaseException | None = None
    try:
        there = None if skip_done is None else skip_done(job)
        if there is None:
            finished = work(job)
        else:
            finished, state, reason = there, State.SKIPPED, "done already"
        if finished.problem:
            state, code, reason = State.FAILED, FAILED, finished.problem
        elif judge is not None:
            judge(finished)
    except BelowQualityError as found:
        state, code, reason, error = State.BELOW_QUALITY, BELOW_QUALITY, str(found), found
    except KeyboardInterrupt as found:
        reason = str(found) or "interrupted"
        state, code, error = State.INTERRUPTED, INTERRUPTED, found
    except Exception as found:  # a defect, too, costs one scan of a night and not all of them
        state, code, reason, error = State.FAILED, code_of(found), _reason(found), found
    seconds = time.perf_counter() - start
    outcome = Outcome(
        job=job, state=state, code=code, reason=reason, seconds=seconds, finished=finished
    )
    return outcome, error


def _reason(error: Exception) -> str:
    if isinstance(error, PtychoError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory; use fewer patterns or a smaller batch"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, OSError) else f"internal error: {type(error).__name__}: {text}"
