"""The iterative solver: seconds per epoch and what it reaches, with NumPy and with PyTorch.

A scan of 1000 patterns of 64 x 64 pixels with 1e6 photons each, solved from a flat object with
the true probe, which stays fixed, and once with NumPy refining it. An epoch is every pattern once.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _measure import graphics, parse, report, summarise, torch_devices, wait_for
from _scans import make_scan
from array_api_compat import to_device
from ptycho_data import Scan
from ptycho_physics import Solution, compare, solve

N = 64
EPOCHS = 8


def correlation(solution: Solution, scan: Scan) -> float:
    """Compare with the truth over the scanned rectangle."""
    found, (x0, y0) = np.asarray(to_device(solution.object, "cpu")), solution.canvas.origin
    low = np.ceil(scan.positions.min(axis=0)).astype(int)
    high = np.floor(scan.positions.max(axis=0)).astype(int) + 1
    rows, columns = slice(low[1] - y0, high[1] - y0), slice(low[0] - x0, high[0] - x0)
    truth = scan.object_guess[low[1] : high[1], low[0] : high[0]]
    return compare(found[rows, columns], truth).correlation


def run(scan: Scan, place: str, epochs: int, **settings: Any) -> dict[str, Any]:
    """Solve the scan at one place, and time its epochs."""
    counts, probe, wait = scan.counts(), scan.probe, lambda: None
    if place != "numpy":
        import torch

        counts, probe = torch.from_numpy(counts).to(place), torch.from_numpy(probe).to(place)
        wait = wait_for(place)
    times: list[float] = []

    def tick(*_: object) -> None:
        wait()
        times.append(time.perf_counter())

    cpu = time.process_time()
    tick()
    solution = solve(counts, scan.positions, probe, epochs=epochs, callback=tick, **settings)
    cpu = time.process_time() - cpu
    return summarise(
        np.diff(times).tolist(),
        figures={
            "CPU seconds": cpu,
            "R-factor": solution.r_factors[-1],
            "correlation": correlation(solution, scan),
        },
        r_factors=solution.r_factors,
    )


def main() -> None:
    """Solve everywhere and report."""
    options = parse(__doc__)
    n, epochs = (60, 2) if options.quick else (1000, EPOCHS)
    scan = make_scan(n, N)
    results = {"numpy, an epoch": run(scan, "numpy", epochs)}
    label = "numpy, probe refined, an epoch"
    results[label] = run(scan, "numpy", epochs, update_probe=True)
    for device in torch_devices(options.threads):
        results[f"torch {device}, an epoch"] = run(scan, device, epochs)
    report("solver", results, options, gpu=graphics(), patterns=n, epochs=epochs)


if __name__ == "__main__":
    main()
