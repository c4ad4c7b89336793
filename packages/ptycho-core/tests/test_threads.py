import math
import os
import subprocess
import sys

import pytest
from ptycho_core import threads
from ptycho_core.threads import limit_threads, threads_in_use, usable_cores, use_threads_sparingly


def test_threads_of_every_library_are_limited():
    environment = {"OMP_NUM_THREADS": "8"}
    limit_threads(3, environment)
    assert set(environment.values()) == {"3"}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"} <= set(environment)
    assert threads_in_use(environment) == 3


def test_idle_threads_sleep_unless_the_user_wants_otherwise():
    environment = {}
    use_threads_sparingly(environment)
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["KMP_BLOCKTIME"] == "0"
    for own in ({"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "1000"}, {"KMP_BLOCKTIME": "1"}):
        environment = dict(own)
        use_threads_sparingly(environment)
        assert own.items() <= environment.items()


@pytest.mark.parametrize(
    ("granted", "of_task", "cores"),
    [(math.inf, "", 8), (2.5, "", 3), (0.5, "", 1), (4, "2", 2), (4, "16", 4), (4, "2(x3)", 4)],
)
def test_usable_cores(monkeypatch, granted, of_task, cores):
    monkeypatch.setattr(threads, "_bound_cores", lambda: 8)
    monkeypatch.setattr(threads, "_granted_cores", lambda: granted)
    environment = {"SLURM_CPUS_PER_TASK": of_task, "MKL_NUM_THREADS": ""}
    assert usable_cores(environment) == cores
    assert threads_in_use(environment) == cores
    use_threads_sparingly(environment)
    # Where the libraries see as many themselves, they decide, also for several processes.
    assert environment.get("OMP_NUM_THREADS") == (None if cores == 8 else str(cores))
    assert environment["MKL_NUM_THREADS"] == ("" if cores == 8 else str(cores))
    assert threads_in_use({**environment, "OMP_NUM_THREADS": "5,2"}) == 5


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_quota_of_a_container(tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "ascii")
    assert threads._granted_cores(tmp_path) == cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux binds processes to cores")
def test_cores_that_the_process_is_bound_to():
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
        "from ptycho_core.threads import usable_cores; print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - our own program
    assert done.stdout.strip() == "1"
