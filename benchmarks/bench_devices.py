"""The solver on several devices: seconds of an epoch by the number of processes.

    python benchmarks/bench_devices.py [--devices 1,2] [--accelerator cpu] [--repeats 3]

Scans of 1000 patterns of 64 x 64 pixels and 500 of 128 x 128, solved by ``ptycho reconstruct``,
each process with one thread. Times are wall-clock seconds of the solver alone, without the start of
the processes; medians, with one repeat of each number after the other. On a CPU there have to be as
many idle cores as processes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import machine

CASES = ((64, 1000, 300), (128, 500, 420))  # pattern, patterns, object
PTYCHO = [sys.executable, "-m", "ptycho_cli"]


def run(*arguments: object) -> None:
    """Run a command of ours on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    words = [*PTYCHO, *map(str, arguments), "-q"]
    subprocess.run(words, check=True, env=environment)  # noqa: S603 - our own command


def main() -> None:
    """Simulate each case, solve it on each number of devices, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", default="1,2")
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    numbers = [int(word) for word in options.devices.split(",")]
    print(machine())
    print("| scan | devices | s per epoch | times | R-factor |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for N, patterns, size in CASES:
            scan = Path(folder) / f"{N}.npz"
            simulated = ["--N", N, "--size", size, "--n-patterns", patterns, "--photons", 1e6]
            run("simulate", "-o", scan, "--object", "random", *simulated)
            seconds: dict[int, list[float]] = {number: [] for number in numbers}
            fits: dict[int, float] = {}
            for repeat in range(options.repeats):
                for number in numbers:
                    out = Path(folder) / f"{N}_{number}_{repeat}"
                    asked = ["--devices", number, "--accelerator", options.accelerator]
                    asked += ["--epochs", options.epochs, "--batch-size", options.batch_size]
                    run("reconstruct", scan, "-o", out, "--no-pictures", *asked)
                    record = json.loads((out / "run.json").read_text("utf-8"))
                    seconds[number].append(record["timings_s"]["solve"] / options.epochs)
                    fits[number] = record["r_factor"]
            first = statistics.median(seconds[numbers[0]])
            for number in numbers:
                median = statistics.median(seconds[number])
                print(
                    f"| {patterns} of {N} | {number} | {median:.4f} | {first / median:.2f} | "
                    f"{fits[number]:.4f} |"
                )


if __name__ == "__main__":
    main()
