"""Where photons are few: a probe refined freely, and one that is expected within a circle.

    python benchmarks/probe_support.py [--photons 300 1000] [--output FILE.json]

The beam of a lens, 150 patterns of 64 x 64 pixels of an object of cells. The probe that the solver
starts from has another defocus. Scores are correlations with the true object over the scanned
rectangle, without a phase ramp, after 40 epochs: with the true probe, with the wrong one, and with
the wrong one refined, without a circle and with circles of several radii.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from _measure import machine
from ptycho_physics import fermat_scan, random_cells, simulate_counts, solve
from ptycho_physics.optics import curved_probe
from real_solver import Data, correlation

N, EPOCHS = 64, 40
TRUE, WRONG = 60.0, 70.0  # defocus, see `curved_probe`
RADII = (20.0, 24.0, 28.0)
PHOTONS = (100.0, 300.0, 1e3, 3e3, 1e4, 1e6)


def lens(curvature: float) -> np.ndarray:
    """Return the probe of a lens whose pupil is not quite even."""
    offsets = np.arange(N) - N // 2
    radius = np.hypot(offsets, offsets[:, None])
    pupil = np.clip(16.5 - radius, 0, 1) * (1 + 0.15 * np.cos(radius / 3) + 0.1 * offsets / N)
    return curved_probe(pupil, curvature)


def run(photons: float) -> dict[str, Any]:
    """Solve with so many photons per pattern."""
    truth, probe = random_cells((180, 180), radius=(5, 14), seed=1), lens(TRUE)
    positions = fermat_scan(truth.shape, N, number=150)
    counts = simulate_counts(truth, probe, positions, photons, seed=0)
    data = Data(counts=counts, positions=positions, probe=probe, truth=truth)

    def score(start: np.ndarray, **settings: Any) -> float:
        solution = solve(counts, positions, start, epochs=EPOCHS, **settings)
        return correlation(solution, data, ramp=True)

    refined = {"update_probe": True}
    return {
        "photons": photons,
        "true probe": score(probe),
        "wrong probe": score(lens(WRONG)),
        "refined": score(lens(WRONG), **refined),
        **{
            f"within {radius:g} pixels": score(lens(WRONG), probe_support=radius, **refined)
            for radius in RADII
        },
    }


def main() -> None:
    """Print a table, and write the figures as JSON where asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photons", type=float, nargs="+", default=PHOTONS)
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    for photons in options.photons:
        found = run(photons)
        if not results:
            print(f"| {' | '.join(found)} |\n|{'---|' * len(found)}")
        results.append(found)
        scores = [f"{value:.4f}" for name, value in found.items() if name != "photons"]
        print(f"| {photons:g} | {' | '.join(scores)} |", flush=True)
    if options.output is not None:
        record = {"benchmark": "probe_support", "machine": machine(), "results": results}
        options.output.write_text(json.dumps(record, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
