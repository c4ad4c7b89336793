"""Reports: CPU time of the pictures and of the report of a result, beside that of the solver.

396 simulated patterns 64 x 64 after two epochs of the solver. Each is the
median of repetitions in one process, matplotlib loaded; the report has all of its pictures.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _measure import parse, report, summarise
from ptycho_core import solve_scan
from ptycho_core.report.reconstruction import reconstruction_report
from ptycho_core.testing import simulated_scan
from ptycho_data import write_pictures

PATTERNS, QUICK_PATTERNS = 396, 30


def cpu(action: Callable[[], object], repeats: int) -> list[float]:
    """Return the CPU seconds of some repetitions, after one that is not counted."""
    action()
    runs = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        runs.append(time.process_time() - start)
    return runs


def main() -> None:
    """Measure and report."""
    options = parse(__doc__)
    repeats = 1 if options.quick else 5
    scan = simulated_scan(QUICK_PATTERNS if options.quick else PATTERNS, shape=(192, 192))
    start = time.process_time()
    solved = solve_scan(scan, epochs=2, progress=False)
    epoch = (time.process_time() - start) / 2
    rec, metrics = solved.reconstruction, solved.metrics

    def page() -> bytes:
        return reconstruction_report(
            rec, scan, metrics=metrics, record={}, method="solver, 2 epochs", curve=None,
            pictures=True, output="result",
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        pictures = cpu(lambda: write_pictures(Path(folder), rec, overwrite=True), repeats)
    made = cpu(page, repeats)
    results: dict[str, Any] = {
        "pictures": summarise(pictures),
        "report": summarise(made, figures={"kB": len(page()) / 1000}),
        "an epoch of the solver": summarise([epoch]),
    }
    report("report", results, options)


if __name__ == "__main__":
    main()
