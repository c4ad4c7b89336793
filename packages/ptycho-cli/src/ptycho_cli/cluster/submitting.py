"""Put tasks into a queue with submitit."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from ptycho_config.errors import InvalidValueError, MissingPackageError, describe
from ptycho_config.install import SOURCE, install_command
from ptycho_core.batch import Job
from ptycho_core.threads import usable_cores
from ptycho_data import folder_lock

from ptycho_cli.cluster.arguments import Submitted
from ptycho_cli.cluster.states import FINAL, RUNNING, WAITING, Board
from ptycho_cli.cluster.tasks import Task

__all__ = ["Resources", "submit_tasks"]


@frozen(kw_only=True)
class Resources:
    """What the queue is asked for.

    Attributes
    ----------
    cluster : str
        ``slurm``, or ``local`` for processes of this computer.
    parallel : int
        Number of tasks at a time.
    minutes : int
        Time of a task, after which it is put into the queue again.
    scans_per_task : int
        Number of scans of one task.
    cores, gpus : int or None
        Of a task; None leaves it to the cluster.
    memory_gb : float or None
    retries : int
        Further attempts for a scan that failed, and for a task whose time has ended.
    options : dict
        Further options of sbatch, by name.
    """

    cluster: str
    parallel: int
    minutes: int
    scans_per_task: int = 1
    cores: int | None = None
    gpus: int | None = None
    memory_gb: float | None = None
    retries: int = 0
    options: Mapping[str, str]


def submit_tasks(submitted: Submitted, output: Path, wanted: Resources) -> tuple[int, int]:
    """Submit the scans that are not done, nor being worked on.

    Parameters
    ----------
    submitted
        The command and its scans.
    output
        Folder of the results.
    wanted
        What the queue is asked for.

    Returns
    -------
    tuple of int
        Number of scans submitted, and of tasks.

    Raises
    ------
    MissingPackageError
        submitit is not installed.
    InvalidValueError
        The cluster is not available here, or does not know an option; or the result of another
        scan has the name of one of these.
    FolderInUseError
        Another process submits to the folder.
    """
    board = Board(output)
    executor = _executor(board, wanted)
    board.folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(board.folder):
        todo = _todo(board, submitted.jobs)
        if not todo:
            return 0, 0
        for job in todo:
            board.forget(job.name)
        if wanted.cluster == "local":
            submitted = _sharing(submitted, wanted)
        tasks = [
            Task(output.absolute(), submitted, jobs, wanted.retries)
            for jobs in _shares(todo, wanted)
        ]
        with _detached(), executor.batch():
            queued = [executor.submit(task) for task in tasks]
        task_of = {
            job.name: str(place.job_id)
            for task, place in zip(tasks, queued, strict=True)
            for job in task.jobs
        }
        board.write_plan(wanted.cluster, [(job, task_of[job.name]) for job in todo])
        return len(todo), len(tasks)


@contextmanager
def _detached() -> Iterator[None]:
    """Keep processes that outlive the command from holding its output open."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
        for number in (1, 2):
            os.dup2(nowhere.fileno(), number)
    try:
        yield
    finally:
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)


def _todo(board: Board, jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that are not done, nor being worked on."""
    if not (board.folder / "plan.json").is_file():
        return list(jobs)
    passed = (*FINAL, RUNNING, WAITING)
    there = {entry.name: entry.scan for entry in board.entries() if entry.state in passed}
    for job in jobs:
        scan = str(job.scan.absolute())
        if there.get(job.name, scan) != scan:
            got = f"{describe(job.name)} for {there[job.name]} and {scan}"
            advice = "give --name with {parent}, or choose another output folder"
            raise InvalidValueError("names of the results", "different", got, advice)
    return [job for job in jobs if job.name not in there]


def _shares(jobs: Sequence[Job], wanted: Resources) -> list[list[Job]]:
    """Divide the scans among tasks; on this computer, which has no queue, all run at once."""
    if wanted.cluster == "local":
        return [list(jobs[k :: wanted.parallel]) for k in range(min(wanted.parallel, len(jobs)))]
    size = wanted.scans_per_task
    return [list(jobs[k : k + size]) for k in range(0, len(jobs), size)]


def _sharing(submitted: Submitted, wanted: Resources) -> Submitted:
    """Share the cores of this computer, unless the command says how many threads it wants."""
    if any(word.partition("=")[0] == "--threads" for word in submitted.arguments):
        return submitted
    threads = wanted.cores or max(1, usable_cores() // wanted.parallel)
    return evolve(submitted, arguments=(*submitted.arguments, "--threads", str(threads)))


def _executor(board: Board, wanted: Resources) -> Any:
    try:
        from submitit import AutoExecutor
    except ImportError as error:
        msg = f"submitit is not installed; install it {SOURCE}: "
        raise MissingPackageError(msg + install_command("ptycho-cli[cluster]")) from error
    again = {f"{wanted.cluster}_max_num_timeout": wanted.retries}
    slurm: dict[str, Any] = {
        "slurm_array_parallelism": wanted.parallel,
        "slurm_additional_parameters": dict(wanted.options),
    }
    try:
        executor = AutoExecutor(board.logs, cluster=wanted.cluster, **again)
        executor.update_parameters(
            name="ptycho",
            timeout_min=wanted.minutes,
            cpus_per_task=wanted.cores,
            gpus_per_node=wanted.gpus,
            mem_gb=wanted.memory_gb,
            **(slurm if wanted.cluster == "slurm" else {}),
        )
    except (RuntimeError, ValueError, NameError) as error:
        rule = "a cluster that takes jobs from this computer"
        reason = " ".join(str(error).split())
        raise InvalidValueError("cluster", rule, wanted.cluster, reason) from error
    return executor
