"""The ledger of a watched folder: what became of each scan, one line of JSON for each event.

Lines are only added, each by one write that is flushed to disk, so that a process killed at any
moment leaves whole lines, and at most a part of one at the end, which the next process removes. The
last line of a scan holds.
"""

import contextlib
import errno
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from ptycho_config.errors import PtychoError, sentence
from ptycho_data import NoSpaceError, refuse_irregular

from ptycho_core.batch import State
from ptycho_core.watching.arrivals import Stamps

__all__ = ["LEDGER_FILE", "STARTED", "Entry", "Ledger", "LedgerError", "now", "read_ledger"]

#: Name of the ledger in the output folder.
LEDGER_FILE = "watch.jsonl"
#: State of a scan whose end is not known.
STARTED = "started"
_STATES = (STARTED, *(state.value for state in State))
#: Figures of merit that lines repeat.
_METRICS = ("r_factor", "r_over_noise")
_RULE = "one JSON object a line, as ptycho watch writes them"
_ADVICE = "restore it, or watch into another output folder"


class LedgerError(PtychoError, ValueError):
    """The ledger does not hold what a watch writes."""


def now() -> str:
    """Return the time (UTC) as in the ledger."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@frozen(kw_only=True)
class Entry:
    """One event of one scan.

    Attributes
    ----------
    scan
        Name of the scan.
    state
        `STARTED`, or the value of a `ptycho_core.batch.State`.
    files
        Size and time of change of its files.
    reason
        Why it failed, or is below the quality asked for.
    seconds
        Wall time of the work; None where it is not known.
    metrics
        R-factor, and its ratio to that of photon noise.
    result
        Hash of the list of files of its result; of a scan that was started, of the earlier result
        that is replaced. None without one.
    attempt
        How often it was started, counted from the last time that its end is known.
    time
        When (UTC).
    """

    scan: str
    state: str
    files: Stamps
    reason: str = ""
    seconds: float | None = None
    metrics: dict[str, float | None] = field(factory=dict)
    result: str | None = None
    attempt: int = 1
    time: str = field(factory=now)

    def to_dict(self) -> dict[str, Any]:
        """Return what a line holds."""
        line: dict[str, Any] = {"time": self.time, "scan": self.scan, "state": self.state}
        if self.reason:
            line["reason"] = self.reason
        if self.seconds is not None:
            line["seconds"] = round(self.seconds, 3)
        line |= {name: self.metrics.get(name) for name in _METRICS if name in self.metrics}
        line |= {"files": {name: list(stamp) for name, stamp in self.files.items()}}
        return line | {"result": self.result, "attempt": self.attempt}

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> "Entry":
        """Return the entry of a line; raises KeyError, TypeError or ValueError for another."""
        files = {str(k): (int(size), int(ns)) for k, (size, ns) in line["files"].items()}
        scan, state = str(line["scan"]), str(line["state"])
        of_output = Path(scan).name == scan and not scan.startswith(".")  # its folder, no other
        if state not in _STATES or not of_output:
            raise ValueError(f"{state} {scan}")
        return cls(
            scan=scan,
            state=state,
            files=files,
            reason=str(line.get("reason", "")),
            seconds=_number(line.get("seconds")),
            metrics={name: _number(line[name]) for name in _METRICS if name in line},
            result=None if line["result"] is None else str(line["result"]),
            attempt=int(line["attempt"]),
            time=str(line["time"]),
        )


def _number(value: object) -> float | None:
    if value is None or isinstance(value, int | float):
        return value
    raise TypeError(value)


def read_ledger(path: Path) -> tuple[dict[str, Entry], int]:
    """Read a ledger.

    Returns
    -------
    entries : dict
        The last entry of each scan, by its name.
    length : int
        Bytes of its whole lines.

    Raises
    ------
    LedgerError
        A line is not one of a ledger.
    InvalidValueError
        It is not a regular file.
    OSError
        It cannot be read; a ledger that is missing has no entries.
    """
    entries: dict[str, Entry] = {}
    length = 0
    refuse_irregular(path)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return entries, length
    with file:
        for number, line in enumerate(file, 1):
            try:
                entry = Entry.of(json.loads(line))
            except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
                if not line.endswith(b"\n"):  # its writer was killed
                    break
                got = f"something else in line {number}"
                raise LedgerError(sentence(f"{path}", _RULE, got, _ADVICE)) from error
            entries[entry.scan] = entry
            length += len(line)
    return entries, length


@define(kw_only=True)
class Ledger:
    """An open ledger; one process writes to it, which holds the lock of its folder.

    Attributes
    ----------
    path
        The file.
    entries
        The last entry of each scan, by its name.
    """

    path: Path
    entries: dict[str, Entry]

    @classmethod
    def open(cls, path: Path) -> "Ledger":
        """Read a ledger, or begin one; errors as for `read_ledger`."""
        entries, length = read_ledger(path)
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(length)  # without the part of a line of a writer that was killed
                file.seek(max(0, length - 1))
                if file.read() not in (b"", b"\n"):
                    file.write(b"\n")
        return cls(path=path, entries=entries)

    def write(self, entry: Entry) -> None:
        """Add an entry; it is on disk when this returns.

        Raises
        ------
        NoSpaceError
            The disk is full; the ledger is as before.
        OSError
            It cannot be written.
        """
        line = (json.dumps(entry.to_dict()) + "\n").encode("ascii")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o666)
        try:
            before = os.fstat(descriptor).st_size
            try:
                whole = os.write(descriptor, line) == len(line)
                os.fsync(descriptor)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, before)
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                whole = False
            if not whole:
                os.ftruncate(descriptor, before)
                raise NoSpaceError(self.path, "the disk is full")
        finally:
            os.close(descriptor)
        self.entries[entry.scan] = entry
