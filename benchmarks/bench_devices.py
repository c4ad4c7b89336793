"""The solver on several devices: seconds of an epoch of ``ptycho reconstruct`` by their number.

1000 patterns of 64 x 64 pixels and 500 of 128 x 128, batches of 32, each process with one thread.
``--devices 1,2,4`` are the numbers, ``--accelerator`` the kind. Times are of the solver alone,
without the start of the processes; one run of each number after the other. On a CPU there have to
be as many idle cores as processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _measure import parse, report, summarise
from _scans import make_scan
from ptycho_data import save_scan

CASES = ((1000, 64), (500, 128))
EPOCHS, BATCH_SIZE = 20, 32


def solved(scan: Path, out: Path, devices: int, accelerator: str, epochs: int) -> tuple[float, Any]:
    """Solve a scan; return the seconds of an epoch, and the R-factor."""
    asked = ["--devices", devices, "--accelerator", accelerator]
    asked += ["--epochs", epochs, "--batch-size", BATCH_SIZE]
    words = ["reconstruct", scan, "-o", out, "--no-pictures", "-q", *asked]
    subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "ptycho_cli", *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
    )
    record = json.loads((out / "run.json").read_text("utf-8"))
    return record["timings_s"]["solve"] / epochs, record["r_factor"]


def main() -> None:
    """Simulate each case, solve it on each number of devices, and report."""
    options = parse(__doc__, devices="1,2", accelerator="cpu")
    numbers = [1] if options.quick else [int(word) for word in options.devices.split(",")]
    repeats, epochs = (1, 1) if options.quick else (3, EPOCHS)
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for patterns, N in CASES[:1] if options.quick else CASES:
            scan = folder / f"{N}.npz"
            save_scan(scan, make_scan(12 if options.quick else patterns, N))
            runs: dict[int, list[tuple[float, Any]]] = {number: [] for number in numbers}
            for repeat in range(repeats):
                for number in numbers:
                    out = folder / f"{N}_{number}_{repeat}"
                    runs[number].append(solved(scan, out, number, options.accelerator, epochs))
            for number, found in runs.items():
                figures = {"R-factor": found[0][1]}
                label = f"{patterns} patterns of {N}, {number} devices"
                results[label] = summarise([seconds for seconds, _ in found], figures=figures)
    report("devices", results, options)


if __name__ == "__main__":
    main()
