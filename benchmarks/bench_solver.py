"""The iterative solver: seconds per epoch and what it reaches, with NumPy and with PyTorch.

Scans of 1000 patterns of 64 x 64 pixels, and of 250 of 128 x 128, with 1e6 photons each, solved
from a flat object, with the true probe and refining it. An epoch is every pattern once. Figures of
PyTorch are compared with those of NumPy of the same run.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
from _measure import graphics, parse, report, summarise, torch_devices, wait_for
from _scans import make_scan
from array_api_compat import to_device
from ptycho_data import Scan
from ptycho_physics import Solution, compare, solve

EPOCHS = 8
SCANS = ((1000, 64), (250, 128))
QUICK = ((60, 64),)


def correlation(solution: Solution, scan: Scan) -> float:
    """Compare with the truth over the scanned rectangle."""
    found, (x0, y0) = np.asarray(to_device(solution.object, "cpu")), solution.canvas.origin
    low = np.ceil(scan.positions.min(axis=0)).astype(int)
    high = np.floor(scan.positions.max(axis=0)).astype(int) + 1
    rows, columns = slice(low[1] - y0, high[1] - y0), slice(low[0] - x0, high[0] - x0)
    truth = scan.object_guess[low[1] : high[1], low[0] : high[0]]
    return compare(found[rows, columns], truth).correlation


def run(scan: Scan, place: str, epochs: int, **settings: Any) -> dict[str, Any]:
    """Solve the scan at one place, and take wall and CPU time of its epochs."""
    counts, probe, wait = scan.counts(), scan.probe, lambda: None
    if place != "numpy":
        import torch

        counts, probe = torch.from_numpy(counts).to(place), torch.from_numpy(probe).to(place)
        wait = wait_for(place)
    times: list[float] = []
    work: list[float] = []

    def tick(*_: object) -> None:
        wait()
        times.append(time.perf_counter())
        work.append(time.process_time())

    tick()
    solution = solve(counts, scan.positions, probe, epochs=epochs, callback=tick, **settings)
    return summarise(
        np.diff(times).tolist(),
        figures={
            "CPU seconds of an epoch": statistics.median(np.diff(work).tolist()),
            "R-factor": solution.r_factors[-1],
            "correlation": correlation(solution, scan),
        },
        r_factors=solution.r_factors,
    )


def main() -> None:
    """Solve everywhere and report."""
    options = parse(__doc__)
    scans, epochs = (QUICK, 2) if options.quick else (SCANS, EPOCHS)
    places = ["numpy", *torch_devices(options.threads)]
    results = {}
    for n, N in scans:
        scan = make_scan(n, N)
        for label, settings in (("", {}), (", probe refined", {"update_probe": True})):
            found = {place: run(scan, place, epochs, **settings) for place in places}
            expected = found["numpy"]["r_factors"]
            for place, result in found.items():
                pairs = zip(result["r_factors"], expected, strict=True)
                furthest = max(abs(a / b - 1) for a, b in pairs)
                result["figures"]["R-factor off that of NumPy by"] = furthest
                library = place if place == "numpy" else f"torch {place}"
                results[f"{n} of {N} x {N}{label}, {library}, an epoch"] = result
    report("solver", results, options, gpu=graphics(), epochs=epochs)


if __name__ == "__main__":
    main()
