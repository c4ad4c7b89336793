"""Many small scans by one `ptycho infer`, against a process for each of them.

Every scan has 120 patterns of 64 x 64; the network is untrained. Start-up and reading the model are
paid once in the first case. CPU time is that of all processes together.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _measure import parse, report, summarise
from _scans import make_scan
from bench_inference import Case, untrained
from ptycho_data import save_bundle, save_scan

PATTERNS = 120


def infer(arguments: list[str], threads: int) -> None:
    """Run `ptycho infer` in a new process, and see that it ends well."""
    subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-m", "ptycho_cli", "--quiet", "infer", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )


def measured(calls: list[list[str]], threads: int) -> tuple[float, float]:
    """Return wall and CPU seconds of calls one after the other."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for arguments in calls:
        infer(arguments, threads)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compared(folder: Path, number: int, threads: int, *more: str) -> dict[str, Any]:
    """Reconstruct all scans both ways."""
    model, scans = str(folder / "model.zip"), sorted((folder / "scans").iterdir())
    one = f"{number} scans, one process{', no pictures' if more else ''}"
    each = f"{number} processes{', no pictures' if more else ''}"
    together, apart = folder / f"together{len(more)}", folder / f"apart{len(more)}"
    wall, cpu = measured([[model, *map(str, scans), "-o", str(together), *more]], threads)
    calls = [[model, str(scan), "-o", str(apart / scan.stem), *more] for scan in scans]
    walls, cpus = measured(calls, threads)
    return {
        one: summarise([wall], figures={"CPU s": cpu, "CPU s per scan": cpu / number}),
        each: summarise(
            [walls],
            figures={
                "CPU s": cpus,
                "CPU s per scan": cpus / number,
                "times the wall time": walls / wall,
                "times the CPU time": cpus / cpu,
            },
        ),
    }


def main() -> None:
    """Measure with pictures and without, and report."""
    options = parse(__doc__, scans=50)
    number = 2 if options.quick else options.scans
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "scans").mkdir()
        for seed in range(number):
            save_scan(folder / "scans" / f"scan_{seed}.npz", make_scan(PATTERNS, 64, seed=seed))
        first = make_scan(PATTERNS, 64)
        save_bundle(folder / "model.zip", untrained(first, Case("unrolled", 64, 1, PATTERNS)))
        results = compared(folder, number, options.threads)
        results |= compared(folder, number, options.threads, "--no-pictures")
    report("batch", results, options)


if __name__ == "__main__":
    main()
