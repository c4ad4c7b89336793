"""Watch a folder: reconstruct every scan that arrives, once, whatever happens meanwhile.

`Watch` looks into the folder at intervals, hands the scans that are complete to a function, and
notes what became of them in a ledger. A watch that was killed is simply started again.
"""

import contextlib
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from attrs import define, evolve, field, frozen
from ptycho_config.errors import MissingFileError, MissingPackageError, sentence
from ptycho_data import (
    MANIFEST,
    RECONSTRUCTION_SET,
    BundleError,
    NoSpaceError,
    OutputExistsError,
    ResultSetError,
    finish_commit,
    folder_lock,
    read_set,
)

from ptycho_core.batch import (
    Finished,
    Job,
    OtherResultError,
    Outcome,
    State,
    finished_result,
    run_jobs,
)
from ptycho_core.exit_codes import FAILED, worst_code
from ptycho_core.outputs import CHECKPOINT_FILE
from ptycho_core.record import UNFINISHED
from ptycho_core.watching.arrivals import CHANGING, Arrival, Arrivals, Stamps
from ptycho_core.watching.ledger import LEDGER_FILE, STARTED, Entry, Ledger

__all__ = ["Attempt", "Watch", "Work"]

log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Attempt:
    """How to work on a scan.

    Attributes
    ----------
    replace
        Whether to replace what an earlier attempt has left in the folder.
    resume
        Whether to go on from it: the same files were not finished.
    """

    replace: bool
    resume: bool


#: Reconstructs the scan of a job into its output.
Work = Callable[[Job, Attempt], Finished]

#: Errors that concern every scan: what is missing is not in the file of one.
_STOPPING = (NoSpaceError, BundleError, MissingPackageError, MissingFileError)
#: States of scans that are not done again unless their files change.
_ENDED = (State.DONE, State.BELOW_QUALITY, State.FAILED)
#: A scan during whose work the process ended so many times is not tried again by itself.
ATTEMPTS = 5


@define(kw_only=True)
class Watch:
    """A folder whose scans are reconstructed as they arrive.

    Attributes
    ----------
    arrivals
        The scans of the folder.
    output
        Folder for the results, one folder a scan, and the ledger.
    work
        Reconstructs one scan.
    judge
        Raises `BelowQualityError` for results that do not reach the quality asked for.
    interval
        Seconds between two looks into the folder.
    retry
        Whether scans that failed earlier are tried again.
    on_done
        Called with the entry of the ledger of each scan.
    """

    arrivals: Arrivals
    output: Path
    work: Work
    judge: Callable[[Finished], None] | None = None
    interval: float = 5.0
    retry: bool = False
    on_done: Callable[[Entry], None] = lambda _: None
    _ledger: Ledger = field(init=False)
    _again: set[str] = field(factory=set, init=False)
    _ends: dict[str, tuple[str, int]] = field(factory=dict, init=False)
    _told: dict[str, str] = field(factory=dict, init=False)
    _active: float = field(factory=time.monotonic, init=False)

    def run(self, *, once: bool = False, idle: float | None = None) -> int:
        """Watch, until interrupted or until there is nothing to do.

        Parameters
        ----------
        once
            End when all complete scans are done.
        idle
            End when nothing has happened for so many seconds.

        Returns
        -------
        int
            Exit code: the worst of the last ends of all scans that were tried.

        Raises
        ------
        FolderInUseError
            Another watch writes to the output folder.
        NoSpaceError
            The disk is full.
        LedgerError, OSError
            The ledger cannot be read or written; with `once`, the folder cannot be read.
        KeyboardInterrupt
            On Ctrl-C and SIGTERM. The scan that was being done is done again by the next watch.
        """
        with folder_lock(self.output):
            self._ledger = Ledger.open(self.output / LEDGER_FILE)
            self._adopt()
            if self.retry:
                failed = (e.scan for e in self._ledger.entries.values() if e.state == State.FAILED)
                self._again.update(failed)
            self._active = time.monotonic()
            while not self._look(once=once, idle=idle):
                time.sleep(self.interval)
        return worst_code(code for _, code in self._ends.values())

    @property
    def entries(self) -> dict[str, Entry]:
        """The last entry of each scan, by its name."""
        return self._ledger.entries

    @property
    def summary(self) -> str:
        """What became of the scans since the start, and how many still wait."""
        states = Counter(state for state, _ in self._ends.values())
        counts = [f"{number} {state}" for state, number in states.items()]
        counts += [f"{len(self._told)} waiting"] if self._told else []
        return ", ".join(counts) or "no scans"

    def _look(self, *, once: bool, idle: float | None) -> bool:
        """Do what is complete; returns whether to end."""
        try:
            look = self.arrivals.look(self._known())
        except OSError as error:
            if once:
                raise
            self._tell({"": f"{self.arrivals.folder}: cannot be read ({error.strerror})"})
            return self._is_idle(idle)
        self._tell({name: f"{name}: {why}" for name, why in look.waiting.items()})
        for arrival in look.ready:
            if self.arrivals.unchanged(arrival):
                self._do(arrival)
        if look.changed or look.ready:
            self._active = time.monotonic()
        if once:
            return not look.ready and not look.soon
        return self._is_idle(idle)

    def _is_idle(self, seconds: float | None) -> bool:
        return seconds is not None and time.monotonic() - self._active >= seconds

    def _known(self) -> dict[str, Stamps]:
        """Return the files of the scans whose end is known."""
        return {
            name: entry.files
            for name, entry in self._ledger.entries.items()
            if entry.state in _ENDED and name not in self._again
        }

    def _tell(self, waiting: dict[str, str]) -> None:
        """Log what scans wait for, once."""
        for name, text in waiting.items():
            if self._told.get(name) != text:
                log.log(logging.DEBUG if text.endswith(CHANGING) else logging.INFO, "%s", text)
        self._told = waiting

    def _do(self, arrival: Arrival) -> None:
        """Reconstruct one scan, and note what became of it."""
        folder, last = self.output / arrival.name, self._ledger.entries.get(arrival.name)
        started = Entry(scan=arrival.name, state=STARTED, files=arrival.stamps)
        again = last is not None and last.files == arrival.stamps
        if last is not None and last.state == STARTED and again:
            started = evolve(started, attempt=last.attempt + 1)
        if started.attempt > ATTEMPTS:
            reason = f"the process ended {ATTEMPTS} times while it worked on this scan"
            failed = evolve(started, state=State.FAILED, reason=reason, result=_result_of(folder))
            self._note(failed, FAILED)
            return

        def work(job: Job) -> Finished:
            before = _result_of(folder)
            ours = last is not None and (last.state == STARTED or before == last.result)
            if before is not None and not ours:
                raise _taken(folder, "another result")
            self._ledger.write(evolve(started, result=before))
            unfinished = last is not None and last.state in (STARTED, State.INTERRUPTED)
            begun = before is not None or (folder / CHECKPOINT_FILE).exists()
            replace = last is not None and begun  # of anything else, nothing is replaced
            try:
                return self.work(job, Attempt(replace=replace, resume=again and unfinished))
            except OutputExistsError as error:
                raise _taken(folder, "other files") from error

        errors: list[BaseException | None] = []
        job = Job(name=arrival.name, inputs=arrival.files, output=folder)
        (outcome,) = run_jobs(
            [job], work, judge=self.judge, on_done=lambda _, error: errors.append(error)
        )
        self._end(arrival, outcome, errors[0])

    def _end(self, arrival: Arrival, outcome: Outcome, error: BaseException | None) -> None:
        stopped = isinstance(error, (KeyboardInterrupt, *_STOPPING))
        if isinstance(error, MissingFileError) and not self.arrivals.unchanged(arrival):
            stopped = False  # the scan itself has gone
        last = self._ledger.entries.get(arrival.name)
        result = None if last is None else last.result
        if last is not None and last.state == STARTED:  # what is there now is of this watch
            result = _result_of(outcome.job.output)
        entry = Entry(
            scan=arrival.name,
            state=State.INTERRUPTED if stopped else outcome.state,
            files=arrival.stamps,
            reason=outcome.reason,
            seconds=outcome.seconds,
            metrics=outcome.metrics,
            result=result,
        )
        if error is not None and stopped:
            self._ends[entry.scan] = (str(entry.state), outcome.code)
            with contextlib.suppress(OSError):  # on a full disk, the next watch knows that it began
                self._ledger.write(entry)
            raise error
        self._note(entry, outcome.code)

    def _note(self, entry: Entry, code: int) -> None:
        self._ledger.write(entry)
        self._again.discard(entry.scan)
        self._ends[entry.scan] = (str(entry.state), code)
        self.on_done(entry)

    def _adopt(self) -> None:
        """Note results that were complete when an earlier watch was killed."""
        for entry in list(self._ledger.entries.values()):
            if entry.state == STARTED:
                # a damaged result is told when the scan is tried again
                with contextlib.suppress(ResultSetError):
                    self._adopt_result(entry)

    def _adopt_result(self, entry: Entry) -> None:
        folder = self.output / entry.scan
        whole = read_set(folder, RECONSTRUCTION_SET).is_file()
        result = _result_of(folder)
        if not whole or result in (None, entry.result):
            return
        found = finished_result(folder)
        if found.metrics.get("stopped") in UNFINISHED:
            return
        job = Job(name=entry.scan, inputs=(folder,), output=folder)
        (outcome,) = run_jobs([job], lambda _: found, judge=self.judge)
        adopted = Entry(
            scan=entry.scan,
            state=outcome.state,
            files=entry.files,
            reason=outcome.reason,
            metrics=found.metrics,
            result=result,
        )
        self._note(adopted, outcome.code)


def _taken(folder: Path, found: str) -> OtherResultError:
    rule = "free, or hold a result of this watch"
    return OtherResultError(sentence(f"{folder}", rule, found, "move it away"))


def _result_of(folder: Path) -> str | None:
    """Return a hash that identifies the result in a folder; None if there is none."""
    finish_commit(folder)
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
