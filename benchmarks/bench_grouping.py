"""Grouping: seconds and memory for groups of four around every one of a million positions.

`ptycho_data.group_positions` with gridsize 2 and K = 7 nearest neighbours, on a raster (all
distances tie), a jittered raster and random positions, in the order of the scan. Memory is the peak
of a process of its own, positions and groups included.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from _measure import measure, parse, report
from _memory import Peaks
from ptycho_data import group_positions

KINDS = ("raster", "jittered", "random")
SIZES, QUICK_SIZES = (10_000, 100_000, 1_000_000), (1000,)
STEP = 6.4


def positions(kind: str, n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return n positions (n, 2) with the mean distance of a raster of steps of 6.4 pixels."""
    side = int(np.ceil(np.sqrt(n)))
    rng = np.random.default_rng(0)
    if kind == "random":
        return rng.random((n, 2)) * STEP * side
    raster = STEP * np.stack(np.divmod(np.arange(n), side)[::-1], axis=1)
    return raster + rng.uniform(-1, 1, (n, 2)) if kind == "jittered" else raster


def run(kind: str, n: int, repeats: int) -> dict[str, Any]:
    """Group n positions; return time and memory."""
    points = positions(kind, n)
    group_positions(points[: min(n, 1000)], 2, neighbor_count=7)  # loads SciPy
    peaks = Peaks()
    found = measure(
        lambda: group_positions(points, 2, neighbor_count=7, seed=0), warmup=0, repeats=repeats
    )
    figures = {"us per position": found["median_s"] / n * 1e6, **peaks.figures()}
    return found | {"figures": figures}


def run_apart(*arguments: Any) -> dict[str, Any]:
    """Do the same in a process of its own: the memory of another shall not matter."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(run, *arguments).result()


def main() -> None:
    """Measure every kind and size and report."""
    options = parse(__doc__)
    results = {}
    for n in QUICK_SIZES if options.quick else SIZES:
        for kind in KINDS:
            start = run if options.quick else run_apart
            results[f"{kind}, {n} positions"] = start(kind, n, 1 if options.quick else 3)
    report("grouping", results, options)


if __name__ == "__main__":
    main()
