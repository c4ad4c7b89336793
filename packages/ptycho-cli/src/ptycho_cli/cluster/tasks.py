"""What a task of the cluster does: the command on its scans, again for those that failed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from ptycho_core.batch import Job, State
from ptycho_core.exit_codes import BELOW_QUALITY, EXISTS, FAILED, INTERRUPTED, OK, USAGE

from ptycho_cli.cluster.arguments import Submitted
from ptycho_cli.cluster.states import FINAL, RUNNING, WAITING, Board

__all__ = ["Task"]

_STATES = {
    OK: State.DONE,
    BELOW_QUALITY: State.BELOW_QUALITY,
    INTERRUPTED: State.INTERRUPTED,
}
#: Codes of failures that another attempt would only repeat.
_HOPELESS = (USAGE, EXISTS)


@frozen(kw_only=True)
class _End:
    """How a scan ended."""

    state: str
    code: int

    @property
    def again(self) -> bool:
        """Whether another attempt may help."""
        return self.state == State.FAILED and self.code not in _HOPELESS


@define
class Task:
    """Some scans of a submission.

    Calling it works on them. Before its time ends, the cluster calls `checkpoint`: the command
    stops as after Ctrl-C, and the task goes on in the queue with what is left.

    Attributes
    ----------
    output
        Folder of the results.
    submitted
        The command.
    jobs
        The scans of this task.
    retries
        Further attempts for a scan that failed.
    """

    output: Path
    submitted: Submitted
    jobs: list[Job]
    retries: int = 0
    _running: Any = field(default=None, init=False)

    def __call__(self) -> dict[str, str]:
        """Work on the scans; return their states."""
        ends: dict[str, _End] = {}
        board = Board(self.output)  # in the queue again, a part may be done
        todo = [job for job in self.jobs if board.state(job.name) not in FINAL]
        try:
            for left in reversed(range(1 + self.retries)):
                if not todo:
                    break
                ends |= self._attempt(todo, again=left > 0)
                todo = [job for job in todo if ends[job.name].again]
        except RuntimeError as error:  # of submitit, after `checkpoint`: not in the queue again
            self._note(WAITING, State.INTERRUPTED, code=INTERRUPTED, reason=str(error))
            raise
        return {name: str(end.state) for name, end in ends.items()}

    def checkpoint(self) -> Any:
        """Stop the command; return what submitit puts into the queue in place of this task."""
        from submitit.helpers import DelayedSubmission

        process, self._running = self._running, None
        if process is not None:
            process.terminate()
            process.wait()
        self._note(RUNNING, WAITING)
        return DelayedSubmission(self)

    def _note(self, before: str, now: str, **more: Any) -> None:
        """Note another state of those scans of this task that are in some state."""
        board = Board(self.output)
        for job in self.jobs:
            if board.state(job.name) == before:
                board.note(job.name, now, attempts=board.attempts(job.name), **more)

    def _attempt(self, jobs: Sequence[Job], *, again: bool) -> dict[str, _End]:
        if self.submitted.command == "train":
            found = [self._run([job], again=again) for job in jobs]
            return {name: end for ends in found for name, end in ends.items()}
        return self._run(jobs, again=again)

    def _run(self, jobs: Sequence[Job], *, again: bool) -> dict[str, _End]:
        """Run the command once; note what its lines, or its exit code, say of each scan.

        A failure is not the end of a scan if there is another attempt.
        """
        board = Board(self.output)

        def note(name: str, end: _End, **more: Any) -> None:
            ends[name] = end
            state = WAITING if again and end.again else end.state
            board.note(name, state, attempts=attempts[name], code=end.code, **more)

        attempts = {job.name: board.attempts(job.name) + 1 for job in jobs}
        here = {"process": os.getpid()}
        for name, number in attempts.items():
            board.note(name, RUNNING, attempts=number, **here)
        ends: dict[str, _End] = {}
        start = time.monotonic()
        with self._started(self.submitted.line(jobs)) as process:
            for line in process.stdout:
                outcome = _outcome(line)
                if (name := outcome.pop("name", None)) in attempts:
                    state = str(outcome.pop("state", State.FAILED))
                    code = outcome.pop("code", None)
                    end = _End(state=state, code=code if isinstance(code, int) else FAILED)
                    note(name, end, **outcome)
            code = process.wait()
        seconds = round(time.monotonic() - start, 3)
        for name in attempts.keys() - ends.keys():
            state = _STATES.get(code, State.FAILED)
            reason = "" if state.value in FINAL else f"the command ended with code {code}"
            note(name, _End(state=state, code=code), reason=reason, seconds=seconds)
        return ends

    @contextmanager
    def _started(self, words: Sequence[str]) -> Iterator[Any]:
        command = [sys.executable, "-m", "ptycho_cli", *words]
        with subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            preexec_fn=_leave_warnings_to_the_task,
        ) as process:
            self._running = process
            try:
                yield process
            finally:
                self._running = None


def _leave_warnings_to_the_task() -> None:
    """Ignore the warning before the time limit: it reaches all processes, the task acts on it."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _outcome(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
