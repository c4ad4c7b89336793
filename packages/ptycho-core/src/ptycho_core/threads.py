"""How many threads the numerical libraries use, and how these wait for work.

The libraries read all of this from the environment when they are loaded, so that is where it is
set. What the user has set there remains.
"""

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

__all__ = ["limit_threads", "threads_in_use", "usable_cores", "use_threads_sparingly"]

#: Where the libraries look: OpenMP (PyTorch), MKL, OpenBLAS (NumPy, SciPy), TensorFlow.
_COUNTS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
#: How long a thread of OpenMP without work occupies its core: by name, value, and what decides it.
_WAITING = (
    ("OMP_WAIT_POLICY", "PASSIVE", ("GOMP_SPINCOUNT",)),
    ("KMP_BLOCKTIME", "0", ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")),
)
_CGROUP = Path("/sys/fs/cgroup")

Environment = MutableMapping[str, str]


def limit_threads(number: int, environment: Environment = os.environ) -> None:
    """Let libraries that are loaded from now on use so many threads each.

    Parameters
    ----------
    number
        Number of threads of this process, and of those that it starts.
    environment
        Where to set it.
    """
    environment.update(dict.fromkeys(_COUNTS, str(number)))


def use_threads_sparingly(environment: Environment = os.environ) -> None:
    """Let idle threads sleep, and use no more than the cores that this process may use.

    Threads of OpenMP that wait for each other keep their cores busy for a while. Where another
    process has these cores, the one thread that has work waits for them.
    """
    given = {name for name in environment if environment[name]}
    for name, value, others in _WAITING:
        if not given.intersection((name, *others)):
            environment[name] = value
    cores = usable_cores(environment)
    if "OMP_NUM_THREADS" not in given and cores < _bound_cores():  # what the libraries do not see
        for name in _COUNTS:
            if name not in given:  # an empty text says nothing
                environment[name] = str(cores)


def threads_in_use(environment: Environment = os.environ) -> int:
    """Return the number of threads that the environment allows, or of usable cores."""
    given = environment.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(given) if given.isdecimal() and int(given) else usable_cores(environment)


def usable_cores(environment: Environment = os.environ) -> int:
    """Return the number of cores that this process may use.

    The smallest of those that it is bound to, those that its container or control group grants,
    and those that Slurm gave to the task.
    """
    limits = [_bound_cores(), _granted_cores()]
    of_task = environment.get("SLURM_CPUS_PER_TASK", "")
    if of_task.isdecimal() and int(of_task):
        limits.append(int(of_task))
    return max(1, math.ceil(min(limits)))


def _bound_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _granted_cores(root: Path = _CGROUP) -> float:
    """Return the quota of the control group in cores; infinity if there is none."""
    try:
        if (root / "cpu.max").is_file():
            quota, period = (root / "cpu.max").read_text("ascii").split()
        else:
            files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = ((root / "cpu" / name).read_text("ascii") for name in files)
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number: there is no quota
        return math.inf
    return cores if cores > 0 else math.inf
