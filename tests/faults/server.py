"""Runs the command in one forked process after another: everything is imported once.

Usage: python server.py PYTORCH|TENSORFLOW|NONE. Each line of the input is a JSON object with

``argv``, ``cwd``
    arguments after ``ptycho``, and where it runs
``environment``
    variables to set
``seconds``, ``megabytes``, ``file_bytes``
    limits: of the wall clock (then SIGKILL), of memory beyond what the server itself has
    (address space), and of the size of a file
``kill_after_s``
    SIGKILL after so many seconds
``kill_at``, ``watched``
    SIGKILL before the so-many-eth change to a file (open for writing, rename, removal, new folder)
    below the folder ``watched``; the number of changes is always counted if ``watched`` is there

and each line of the output is one with ``code`` (negative: a signal), ``out``, ``err``, ``wall_s``,
``cpu_s``, ``megabytes`` (the peak of resident memory), ``changes`` and ``killed``.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

PACKAGES = ("ptycho_config", "ptycho_physics", "ptycho_data", "ptycho_core", "ptycho_cli")
HOMES = {"pytorch": "ptycho_torch", "tensorflow": "ptycho_tf"}
CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")


def import_everything(backend: str) -> None:
    """Import the packages with all modules, so that a forked call imports next to nothing."""
    names = [*PACKAGES, *([HOMES[backend]] if backend in HOMES else [])]
    for name in names:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, name + "."):
            parts = found.name.split(".")
            if not {"__main__", "testing", "entry", "train"} & set(parts):
                with contextlib.suppress(ImportError):  # of a backend that is not wanted here
                    importlib.import_module(found.name)
    for name in ("matplotlib.pyplot", "scipy.ndimage", "scipy.optimize", "scipy.spatial", "yaml"):
        importlib.import_module(name)
    if backend == "pytorch":
        importlib.import_module("lightning.pytorch")
        importlib.import_module("torch").set_num_threads(1)


class Changes:
    """Counts changes to files below a folder, in memory that outlives the process."""

    def __init__(self, watched: str, kill_at: int | None, counter: int) -> None:
        self.watched, self.kill_at, self.counter = watched, kill_at, counter
        self.number = 0
        sys.addaudithook(self.look)

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            flags = arguments[2]
            if not isinstance(flags, int) or not flags & CHANGING:
                return
        elif event not in EVENTS:
            return
        places = [os.fsdecode(a) for a in arguments if isinstance(a, (str, bytes, os.PathLike))]
        if not any(str(Path.cwd() / place).startswith(self.watched) for place in places):
            return
        self.number += 1
        os.pwrite(self.counter, str(self.number).encode(), 0)
        if self.number == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def memory_of_server() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    return pages * resource.getpagesize()


def child(job: dict[str, Any], out: int, err: int, counter: int) -> int:
    """Run the command in this process, which was forked for it."""
    from ptycho_cli.main import main

    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="surrogateescape", buffering=1)
    os.chdir(job["cwd"])
    os.environ.update(job.get("environment", {}))
    tempfile.tempdir = None  # of this process, not of the server
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = memory_of_server() + int(job.get("megabytes", 3000)) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if job.get("file_bytes") is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_bytes"],) * 2)
    if job.get("watched"):
        Changes(job["watched"], job.get("kill_at"), counter)
    warnings.resetwarnings()
    warnings.simplefilter("default")
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    code = main(job["argv"])
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Fork, run, wait, and say what became of it."""
    files = [os.memfd_create(name) for name in ("out", "err", "counter")]
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = child(job, *files)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 70
        except BaseException:
            import traceback

            os.write(2, traceback.format_exc().encode("utf-8", "surrogateescape"))
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            os._exit(code)
    reason = _end_in_time(pid, job)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    out, err, counter = (_content(fd) for fd in files)
    code = os.waitstatus_to_exitcode(status)
    by_event = code == -signal.SIGKILL and not reason and job.get("kill_at") is not None
    return {
        "code": code,
        "out": out,
        "err": err,
        "wall_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "megabytes": usage.ru_maxrss / 1024,
        "changes": int(counter or 0),
        "killed": "kill" if by_event else (reason if code == -signal.SIGKILL else ""),
    }


def _end_in_time(pid: int, job: dict[str, Any]) -> str:
    """Wait for a process, and kill it when its time is over; return why, or nothing."""
    limits = [(float(job.get("seconds", 30)), "hang")]
    if job.get("kill_after_s") is not None:
        limits.append((float(job["kill_after_s"]), "kill"))
    seconds, why = min(limits)
    ended, poll = os.pidfd_open(pid), select.poll()
    poll.register(ended, select.POLLIN)
    in_time = poll.poll(seconds * 1000)
    os.close(ended)
    if in_time:
        return ""
    os.kill(pid, signal.SIGKILL)
    return why


def _content(fd: int) -> str:
    data = os.pread(fd, 2**22, 0)
    os.close(fd)
    return data.decode("utf-8", "surrogateescape")


def main() -> None:
    import_everything(sys.argv[1])
    gc.collect()
    gc.freeze()  # what is imported stays in pages that forks share
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(run(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
