"""What each switch of the solver costs: CPU seconds of an epoch with it, over those without any.

A scan of 250 patterns of 64 x 64 pixels with 1e6 photons each, solved with NumPy. Each switch is on
from the first epoch, and a switch that needs the probe to be refined is compared with that as well.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from _measure import parse, report, summarise
from _scans import make_scan
from ptycho_data import Scan
from ptycho_physics import Slices, solve

EPOCHS = 6
PATTERNS, N = 250, 64
PROBE = {"update_probe": True, "probe_start": 0}
SWITCHES: dict[str, Mapping[str, Any]] = {
    "nothing": {},
    "held out": {"held_out": 0.05},
    "light": {"refine_light": True, "light_start": 0},
    "background": {"background": "constant", "background_start": 0},
    "saturation": {"saturation": 1e4},
    "affine": {"refine_affine": True, "affine_start": 0},
    "positions": {"refine_positions": True, "position_start": 0},
    "probe": PROBE,
    "probe, support": {**PROBE, "probe_support": 24.0},
    "probe, 3 modes": {**PROBE, "modes": 3},
    "probe, variation": {**PROBE, "probe_variation": 2, "variation_start": 0},
    "fly scan, 5 points": {"exposure_path": np.array([8.0, 0.0])},
    "2 slices": {
        "slices": Slices(number=2, thickness=40.0, wavelength=0.5, pixel_size=1.0),
    },
    "near field": {"near_field": 0.1},
    "detector sampling 2": {"detector_sampling": 2},
}


def run(scan: Scan, epochs: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Solve the scan, and take wall and CPU time of its epochs."""
    times: list[float] = []
    work: list[float] = []

    def tick(*_: object) -> None:
        times.append(time.perf_counter())
        work.append(time.process_time())

    tick()
    options = {"epochs": epochs, "callback": tick, **settings}
    solve(scan.counts(), scan.positions, scan.probe, **options)
    # what an epoch ends with, such as a step of the positions, comes after its call
    spent = np.diff(work).tolist()[1:] or np.diff(work).tolist()
    figures = {"CPU seconds of an epoch": statistics.median(spent)}
    return summarise(np.diff(times).tolist(), figures=figures)


def main() -> None:
    """Solve with each switch and report."""
    options = parse(__doc__)
    scan = make_scan(40 if options.quick else PATTERNS, N)
    results = {}
    for name, settings in SWITCHES.items():
        found = run(scan, 2 if options.quick else EPOCHS, settings)
        results[name] = found
        key = "CPU seconds of an epoch"
        plain = results["nothing"]["figures"][key]
        found["figures"]["times that without any"] = found["figures"][key] / plain
    report("switches", results, options)


if __name__ == "__main__":
    main()
