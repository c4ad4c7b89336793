"""False alarms among the cautions, and what the cautions cost.

    python benchmarks/cautions.py [DATA_FOLDER] [--only matrix,real,cost] [--output cautions.json]

``matrix``
    40 simulated scans without a fault: four probes on five scan patterns, twice, with photons from
    1e3 to 1e8 per pattern, three objects, and three detectors.
``real``
    The two scans of `real_data.py`, if DATA_FOLDER is given: simulated counts of run1084 at three
    doses, and the measured Siemens star.
``cost``
    CPU time of all cautions as a share of that of `solve_scan` with 20 epochs, the default of
    `ptycho reconstruct`; the time of 20 epochs is extrapolated from three.

Prints a table in Markdown. The exit code is 1 if a caution fired without a cause, or if all of them
cost more than 2 % of a run. Few photons, 1e4 per pattern or less, are a cause, and so is the first
idea of the probe of the Siemens star. The start of a training is judged too, but for its cost.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from _cases import row
from _measure import machine
from _scans import make_scan
from attrs import frozen
from ptycho_core import solve_scan
from ptycho_core.cautions import scan_cautions
from ptycho_core.simulation import bad_pixel_mask, simulate_scan
from ptycho_core.simulation_parts import OBJECTS, SCANS, SimulationParts
from ptycho_core.starting_probe import start_cautions
from ptycho_data import Scan
from ptycho_physics import defocused_probe, disk_probe, gaussian_probe
from real_data import siemens_scan

PROBES = {
    "disk": lambda N: disk_probe(N),
    "curved disk": lambda N: disk_probe(N, N / 2, curvature=12.0),
    "gaussian": lambda N: gaussian_probe(N),
    "defocused": lambda N: defocused_probe(N),
}
PHOTONS = (1e6, 1e4, 1e8, 1e5, 1e3, 1e7)
DETECTORS: dict[str, dict[str, Any]] = {
    "perfect": {},
    "beam stop": {"beam_stop": 6.0},
    "dead pixels": {"dead_fraction": 0.02},
}
PATTERNS = 180
#: The noise of fewer photons than this may be told.
FEW_PHOTONS = 1.1e4
EPOCHS, MEASURED_EPOCHS, REPEATS = 20, 2, 5
#: Patterns and their size in the two runs of known cost.
RUNS = ((1087, 64), (2000, 256))
LARGEST_SHARE = 0.02


@frozen
class Case:
    """A scan without a fault, and the codes of cautions that it deserves nevertheless."""

    name: str
    scan: Scan
    deserved: frozenset[str]


def deserved(photons: float) -> frozenset[str]:
    """Return the cautions that a dose deserves."""
    return frozenset({"few-photons"} if photons < FEW_PHOTONS else ())


def matrix(N: int = 64) -> Iterator[Case]:
    """Simulate probes x scan patterns, twice; photons, objects and detectors go round."""
    objects, detectors = list(OBJECTS), list(DETECTORS)
    combinations = [(probe, pattern) for probe in PROBES for pattern in SCANS] * 2
    for seed, (probe, pattern) in enumerate(combinations):
        photons = PHOTONS[seed % len(PHOTONS)]
        obj = objects[(seed + seed // 20) % len(objects)]
        detector = detectors[(seed // 2) % len(detectors)]
        parts = SimulationParts(probe=PROBES[probe](N)).completed(
            object_source=obj, scan_pattern=pattern, n_patterns=PATTERNS, seed=seed
        )
        bad = bad_pixel_mask(N, seed=seed, **DETECTORS[detector])
        name = f"{probe}, {pattern}, {photons:.0e}, {obj}, {detector}"
        yield Case(name, simulate_scan(parts, photons, seed, bad_pixels=bad), deserved(photons))


def real(folder: Path) -> Iterator[Case]:
    """Return the scans of `real_data.py`."""
    parts = SimulationParts.from_file(folder / "run1084.npz")
    for photons in (1e3, 1e4, 1e6):
        yield Case(f"run1084, {photons:.0e}", simulate_scan(parts, photons), deserved(photons))
    star = siemens_scan(folder / "siemens_top.npz")  # with a first idea of its probe
    yield Case("Siemens star, measured", star, frozenset({"poor-probe"}))


def fired(cases: Iterator[Case]) -> list[dict[str, Any]]:
    """Return what fired for each case, and whether it had a cause."""
    rows = []
    for case in cases:
        cautions = [*scan_cautions(case.scan), *start_cautions(case.scan)]
        found = sorted(caution.code for caution in cautions)
        texts = [caution.text for caution in cautions if caution.code not in case.deserved]
        rows.append({"case": case.name, "fired": found, "without_cause": texts})
    return rows


def cost(n: int, N: int) -> dict[str, Any]:
    """Measure the CPU time of the cautions and of a run."""
    scan = make_scan(n, N)
    _ = scan.intensity_totals  # load_scan measures them while it checks the file
    cautions = median(cpu_seconds(lambda: scan_cautions(scan)) for _ in range(REPEATS))
    one, more = (
        cpu_seconds(partial(solve_scan, scan, epochs=epochs)) for epochs in (1, 1 + MEASURED_EPOCHS)
    )
    run = one + (more - one) / MEASURED_EPOCHS * (EPOCHS - 1)
    return {"scan": f"{n} x {N} x {N}", "cautions_s": cautions, "run_s": run}


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def show(record: dict[str, Any]) -> bool:
    """Print the tables; return whether all is as it must be."""
    alarms = 0
    if record["fired"]:
        print(row("scan", "fired", "without cause"), row(*3 * ["---"]), sep="\n")
    for case in record["fired"]:
        alarms += len(case["without_cause"])
        print(row(case["case"], ", ".join(case["fired"]), "; ".join(case["without_cause"])))
    if record["fired"]:
        print(f"\n{len(record['fired'])} scans, {alarms} cautions without a cause\n")
    if record["cost"]:
        print(row("scan", "cautions / CPU s", "run / CPU s", "share"), row(*4 * ["---"]), sep="\n")
    shares = [case["cautions_s"] / case["run_s"] for case in record["cost"]]
    for case, share in zip(record["cost"], shares, strict=True):
        figures = (f"{case['cautions_s']:.3f}", f"{case['run_s']:.1f}", f"{share:.2%}")
        print(row(case["scan"], *figures))
    return alarms == 0 and max(shares, default=0.0) <= LARGEST_SHARE


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; return 1 if it is not as it must be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", metavar="DATA_FOLDER")
    parser.add_argument("--only", default="matrix,real,cost", help="parts, with commas")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    options = parser.parse_args(arguments)
    parts = set(options.only.split(","))
    record: dict[str, Any] = {"benchmark": "cautions", "machine": machine()}
    record["fired"] = fired(matrix()) if "matrix" in parts else []
    if "real" in parts and options.data is not None:
        record["fired"] += fired(real(options.data))
    record["cost"] = [cost(n, N) for n, N in RUNS] if "cost" in parts else []
    if options.output is not None:
        options.output.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return 0 if show(record) else 1


if __name__ == "__main__":
    sys.exit(main())
