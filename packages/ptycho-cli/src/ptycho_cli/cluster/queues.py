"""Which tasks have left the queue, and so will note nothing more."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shutil import which
from typing import Any

__all__ = ["gone"]

#: States of Slurm after which a job does not go on by itself.
_ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "TIMEOUT",
)


def gone(logs: Path, tasks: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the numbers of those tasks that are known to have ended.

    Parameters
    ----------
    logs
        Folder of submitit.
    tasks
        Each with ``id``, ``cluster`` and the ``host`` that it was submitted from.
    """
    here = platform.node()
    local = {str(t["id"]) for t in tasks if t.get("cluster") == "local" and t.get("host") == here}
    slurm = {str(t["id"]) for t in tasks if t.get("cluster") == "slurm"}
    return {task for task in local if not _alive(task)} | _ended_jobs(logs, slurm)


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _ended_jobs(logs: Path, jobs: Iterable[str]) -> set[str]:
    """Ask Slurm, where it keeps accounts; submitit asks once for all jobs."""
    jobs = set(jobs)
    if not jobs or which("sacct") is None:
        return set()
    try:
        from submitit import SlurmJob
    except ImportError:
        return set()
    found: list[SlurmJob[Any]] = [SlurmJob(logs, task) for task in jobs]
    return {job.job_id for job in found if job.state.split(" ")[0] in _ENDED}
