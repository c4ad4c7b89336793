"""What a watch costs: CPU time while nothing arrives, and memory over many scans.

The folder holds links to one scan of eight patterns; each is reconstructed with one epoch of the
solver, without pictures. Then the watch looks again into the folder, where nothing is new.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path

from _measure import parse, report, summarise
from _scans import make_scan
from ptycho_core.batch import Finished, Job
from ptycho_core.solving.call import SolverRun
from ptycho_core.watching import ANY_SCAN, Arrivals, Attempt, Entry, FilePattern, Watch
from ptycho_data import save_scan

#: Seconds between two looks, the default of the command.
INTERVAL = 5.0
STATUS = Path("/proc/self/status")


def memory_mib() -> float:
    """Return the resident memory of this process; 0 elsewhere than on Linux."""
    if not STATUS.exists():
        return 0.0
    lines = dict(line.split(":", 1) for line in STATUS.read_text("utf-8").splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024


def solve(job: Job, attempt: Attempt) -> Finished:
    """Reconstruct one scan."""
    run = SolverRun(
        scan=job.scan,
        output=job.output,
        settings={"epochs": 1},
        pictures=False,
        overwrite=attempt.replace,
    )
    return Finished(metrics=run.run().metrics)


def main() -> None:
    """Measure and report."""
    options = parse(__doc__)
    logging.disable(logging.WARNING)  # each scan says that it has few patterns
    number, looks = (3, 3) if options.quick else (500, 30)
    with tempfile.TemporaryDirectory() as place:
        folder, memory, seconds = Path(place) / "in", [], []
        folder.mkdir()
        save_scan(Path(place) / "scan.npz", make_scan(8, 64))
        for k in range(number):
            os.link(Path(place) / "scan.npz", folder / f"scan_{k}.npz")
        arrivals = Arrivals(
            folder=folder, patterns=[FilePattern(ANY_SCAN)], settle=0.0, patience=0.0
        )

        def note(entry: Entry) -> None:
            memory.append(memory_mib())
            seconds.append(entry.seconds or 0.0)

        watch = Watch(
            arrivals=arrivals, output=Path(place) / "out", work=solve, interval=0.01, on_done=note
        )
        watch.run(once=True)
        known = {name: entry.files for name, entry in watch.entries.items()}
        idle = []
        for _ in range(looks):
            start = time.process_time()
            arrivals.look(known)
            idle.append(time.process_time() - start)
    figures = {
        "scans": number,
        "MiB after a tenth": memory[number // 10],
        "MiB at last": memory[-1],
    }
    results = {"a scan": summarise(seconds, figures=figures), "a look": summarise(idle)}
    share = results["a look"]["median_s"] / INTERVAL
    results["a look"]["figures"] = {"files": number, "CPU % of 5 s": 100 * share}
    report("watch", results, options)


if __name__ == "__main__":
    main()
