"""Threads that share a machine with other processes, and how idle ones wait.

Commands of a user, each in its own process: with one thread, and with two that sleep (the default
of the command) or occupy their core (that of OpenMP) while they wait. As many other processes as
there are cores compute all the time.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _measure import parse, report, summarise
from _scans import make_scan
from ptycho_data import save_scan

COMMANDS = {
    "reconstruct": "reconstruct scan.npz -o solved --epochs 2",
    "train": "train scan.npz -o model --nepochs 1",
    "infer": "infer model scan.npz -o result",
}
BUSY = [sys.executable, "-c", "while True: sum(range(10_000))"]


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Keep cores busy with other processes."""
    others = [subprocess.Popen(BUSY) for _ in range(number)]  # noqa: S603  our own program
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def run(words: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Run a command, which must end well; return its wall and CPU seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "ptycho_cli", *words, "--overwrite", "-q"],
        cwd=folder,
        env=os.environ | environment,
        check=True,
        capture_output=True,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(command: str, folder: Path, environment: dict[str, str], repeats: int) -> Any:
    """Return the wall times of a command, and the median of its CPU times."""
    runs = [run(COMMANDS[command].split(), folder, environment) for _ in range(repeats)]
    cpu = summarise([cpu for _, cpu in runs])["median_s"]
    return summarise([wall for wall, _ in runs], figures={"CPU seconds": cpu})


def main() -> None:
    """Measure every command and report."""
    options = parse(__doc__)
    cases = {"1 thread": (1, "0")}
    if not options.quick:  # the second number is what libgomp does by itself
        cases |= {"2 threads, sleeping": (2, "0"), "2 threads, spinning": (2, "300000")}
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_scan(folder / "scan.npz", make_scan(12 if options.quick else 100, 64))
        with busy(0 if options.quick else os.cpu_count() or 1):
            for command in ["reconstruct"] if options.quick else COMMANDS:
                for label, (threads, spins) in cases.items():
                    environment = {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": spins}
                    repeats = 1 if options.quick else 3
                    results[f"{command}, {label}"] = measure(command, folder, environment, repeats)
    report("threads", results, options)


if __name__ == "__main__":
    main()
