"""Files that tell what became of submitted scans: one for the plan, one for each scan."""

import json
import platform
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from ptycho_config.errors import InvalidValueError
from ptycho_core.batch import Job, State
from ptycho_data import write_json

from ptycho_cli.cluster.queues import gone

__all__ = ["FINAL", "HIDDEN", "LOST", "RUNNING", "WAITING", "Board", "Entry"]

#: Folder in the output folder of a submission.
HIDDEN = ".ptycho-jobs"
WAITING, RUNNING, LOST = "waiting", "running", "lost"
#: States of scans that need not be submitted again.
FINAL = (State.DONE.value, State.SKIPPED.value, State.BELOW_QUALITY.value)
_LARGEST_FILE = 10_000_000
#: Number of a process, or of a job of an array.
_TASK = re.compile(r"[0-9]{1,18}(_[0-9]{1,9})?")


@frozen(kw_only=True)
class Entry:
    """What is known of one submitted scan.

    Attributes
    ----------
    name, state : str
    scan : str
        Its file.
    task : str
        Name of its task in the queue.
    log : Path
        What its task wrote to standard error.
    known : dict
        What the task has noted: attempts, seconds, exit code, reason, metrics.
    """

    name: str
    state: str
    scan: str
    task: str
    log: Path
    known: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a line of JSON."""
        ours = {"name": self.name, "state": self.state, "task": self.task, "log": str(self.log)}
        return {**self.known, **ours}


@frozen
class Board:
    """The notes of a submission.

    Attributes
    ----------
    output : Path
        Folder of the results.
    """

    output: Path

    @property
    def folder(self) -> Path:
        """Where plan, states and logs are."""
        return self.output / HIDDEN

    @property
    def logs(self) -> Path:
        """Folder of submitit: its scripts, pickles and logs."""
        return self.folder / "logs"

    def write_plan(self, cluster: str, tasks: Iterable[tuple[Job, str]]) -> None:
        """Note the task of each scan, in addition to earlier ones."""
        place = {"cluster": cluster, "host": platform.node()}
        new = {
            job.name: {"id": task, "scan": str(job.scan.absolute()), **place} for job, task in tasks
        }
        write_json(self.folder / "plan.json", self._plan() | new, overwrite=True)

    def note(self, name: str, state: str, **more: Any) -> None:
        """Note what becomes of a scan."""
        here = {"state": state, "time": round(time.time(), 3), **more}
        write_json(self._file(name), here, overwrite=True)

    def forget(self, name: str) -> None:
        """Remove what is noted of a scan that is submitted again."""
        self._file(name).unlink(missing_ok=True)

    def state(self, name: str) -> str:
        """Return what was noted last of a scan."""
        state = _read(self._file(name)).get("state")
        return state if isinstance(state, str) else WAITING

    def attempts(self, name: str) -> int:
        """Return how often a scan was begun."""
        number = _read(self._file(name)).get("attempts")
        return number if isinstance(number, int) else 0

    def entries(self) -> list[Entry]:
        """Return what is known of every scan, in the order in which they were submitted.

        Raises
        ------
        InvalidValueError
            The folder has none.
        """
        plan = self._plan()
        if not plan:
            rule = "the output folder of a submission"
            raise InvalidValueError(str(self.output), rule, "a folder without one")
        entries = [self._entry(name, task) for name, task in plan.items()]
        open_ = [entry for entry in entries if entry.state in (WAITING, RUNNING)]
        ended = gone(self.logs, [plan[entry.name] for entry in open_])
        return [self._lost(e) if e in open_ and e.task in ended else e for e in entries]

    def _lost(self, entry: Entry) -> Entry:
        """Return what is known of a scan after its task has ended."""
        state, known = self.state(entry.name), _read(self._file(entry.name))  # noted meanwhile
        return evolve(entry, state=LOST if state in (WAITING, RUNNING) else state, known=known)

    def _entry(self, name: str, planned: Mapping[str, Any]) -> Entry:
        task, scan = str(planned["id"]), str(planned.get("scan", ""))
        log, known = self.logs / f"{task}_0_log.err", _read(self._file(name))
        state = self.state(name)
        return Entry(name=name, state=state, scan=scan, task=task, log=log, known=known)

    def _file(self, name: str) -> Path:
        return self.folder / "states" / f"{name}.json"

    def _plan(self) -> dict[str, dict[str, Any]]:
        plan = _read(self.folder / "plan.json")
        tables = {name: task for name, task in plan.items() if isinstance(task, dict)}
        return {
            name: task
            for name, task in tables.items()
            if Path(name).name == name and _TASK.fullmatch(str(task.get("id")))
        }


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
