"""The universal network on scans that it was not trained on, measured ones among them.

    python benchmarks/universal.py DATA_FOLDER -o OUT [--only run1084-1e4,few] [--threads 1]

DATA_FOLDER is that of `real_data.py`. Each scan is reconstructed by `ptycho infer MODEL SCAN`
without any training, and after 5 epochs of fine-tuning (`ptycho train SCAN --from MODEL`). MODEL is
`universal`, or another one that the environment variable BENCH_MODEL names.

``run1084-DOSE``
    The measured scene of `real_data.py`, whose beam diverges strongly: complex correlation with the
    truth over the scanned rectangle.
``siemens``
    The measured star with a refined probe: R-factor, and mean-removed correlation with the solver.
``few``
    A tenth and a fifth of the patterns of its right half, as far apart from each other as can be:
    mean-removed correlation with the solver's result from all patterns.
``instruments``
    Six probes and three samples, 1e5 photons per pattern: the worst correlation of each instrument.

OUT keeps all results, `universal.md` and `universal.json`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from _cases import Bound, Case, Cases, Runner, of_each, row, run_all
from attrs import evolve
from numpy.typing import NDArray
from ptycho_core.simulation import simulate_scan
from ptycho_core.simulation_parts import SimulationParts
from ptycho_data import load_probe, load_reconstruction, load_scan, save_scan
from ptycho_physics import defocused_probe, gaussian_probe, optics
from ptycho_physics.metrics import complex_correlation
from real_data import PROBE_REFINEMENT, on_rectangle, siemens_scan
from sparse import farthest

MODEL = os.environ.get("BENCH_MODEL", "universal")
FOLDERS = {"universal": "plain", "tuned": "tuned"}
"""Folders of results; a folder `universal` would be taken for the model."""
TUNING = ("--nepochs", "5")
LIGHT = {"wavelength_m": 1.5e-10, "pixel_size_m": 1e-8}
INSTRUMENTS: dict[str, Callable[[int], NDArray[np.complex64]]] = {
    "zone plate": lambda N: defocused_probe(N, 30),
    "zone plate before the focus": lambda N: defocused_probe(N, -22, aperture=0.6),
    "divergent Gaussian": lambda N: gaussian_probe(N, 16) * _lens(N, 0.045),
    "mirrors": lambda N: optics.mirror_probe(
        N, **LIGHT, aperture_m=(3e-4, 2e-4), focal_length_m=(0.2, 0.12), defocus_m=8e-5
    ),
    "pinhole": lambda N: optics.pinhole_probe(N, **LIGHT, diameter_m=2.6e-7, distance_m=2e-4),
    "electrons": lambda N: optics.electron_probe(
        N, wavelength_m=1.97e-12, pixel_size_m=2e-11, semi_angle_rad=0.02, defocus_m=1.5e-8
    ),
}
SAMPLES = ("random", "lines", "siemens")


def _lens(N: int, curvature: float) -> NDArray[np.complex64]:
    """Return the phase factor of a spherical wave, curvature in radians per square pixel."""
    y, x = np.mgrid[:N, :N] - N // 2
    return np.exp(1j * curvature * (x * x + y * y)).astype(np.complex64)


def reconstruct(run: Runner) -> None:
    """Reconstruct scan.npz without training, and after fine-tuning: into plain and tuned."""
    run("infer", "infer", MODEL, "scan.npz", "-o", "plain")
    run("tune", "train", "scan.npz", "-o", "model", "--from", MODEL, *TUNING)
    run("infer tuned", "infer", "model", "scan.npz", "-o", "tuned")


def run1084(run: Runner, photons: float) -> None:
    """Simulate counts of a measured scene: the truth is known."""
    run.simulate(photons)
    reconstruct(run)
    for way, folder in FOLDERS.items():
        run(f"evaluate {way}", "evaluate", folder, "scan.npz", "-o", f"score_{way}")
        run.case.figures[way] = run.read(f"score_{way}/evaluation.json")["correlation"]


def _refined_star(run: Runner) -> tuple[NDArray[np.complex64], tuple[int, int]]:
    """Write scan.npz with the refined probe; return the solver's object and its origin."""
    scan = siemens_scan(run.data / "siemens_top.npz")
    save_scan(run.folder / "supplied.npz", scan)
    run("refine probe", "reconstruct", "supplied.npz", "-o", "solver", *PROBE_REFINEMENT.split())
    file = run.folder / "solver" / "reconstruction.npz"
    save_scan(run.folder / "scan.npz", evolve(scan, probe=load_probe(file)))
    found = load_reconstruction(file)
    x, y = found.origin.tolist()
    return found.object, (x, y)


def _agreement(
    run: Runner,
    folder: str,
    reference: tuple[NDArray[np.complex64], tuple[int, int]],
    positions: NDArray[np.float64],
) -> float:
    """Mean-removed correlation of a result with a reference, over a rectangle of positions."""
    found = load_reconstruction(run.folder / folder / "reconstruction.npz")
    x, y = found.origin.tolist()
    regions = on_rectangle(found.object, (x, y), positions), on_rectangle(*reference, positions)
    return complex_correlation(*regions, mean_removed=True)


def siemens(run: Runner) -> None:
    """Reconstruct measured patterns."""
    reference = _refined_star(run)
    positions = load_scan(run.folder / "scan.npz").positions
    reconstruct(run)
    for way, folder in FOLDERS.items():
        run.case.figures[f"R {way}"] = run.read(f"{folder}/metrics.json")["r_factor"]
        run.case.figures[way] = _agreement(run, folder, reference, positions)


def few(run: Runner) -> None:
    """Reconstruct few measured patterns."""
    reference = _refined_star(run)
    scan = load_scan(run.folder / "scan.npz")
    right = np.flatnonzero(scan.xcoords >= np.median(scan.xcoords))
    for name, part in (("a tenth", 0.1), ("a fifth", 0.2)):
        chosen = right[farthest(scan.positions[right], round(part * len(right)))]
        file, folder = f"right_{len(chosen)}.npz", f"result_{len(chosen)}"
        save_scan(run.folder / file, scan.select(chosen))
        run(f"infer {name}", "infer", MODEL, file, "-o", folder)
        found = _agreement(run, folder, reference, scan.positions[right])
        run.case.figures[f"universal {name}"] = found


def instruments(run: Runner) -> None:
    """Simulate scans of several probes and samples; keep the worst correlation of each probe."""
    for number, (name, probe) in enumerate(INSTRUMENTS.items()):
        found = []
        for sample in SAMPLES:
            parts = SimulationParts(probe=probe(64)).completed(
                object_source=sample, object_size=190, n_patterns=300, seed=number
            )
            scan = simulate_scan(parts, photons=1e5, seed=number)
            file, folder = f"{number}_{sample}.npz", f"{number}_{sample}"
            save_scan(run.folder / file, scan)
            run(f"infer {number} {sample}", "infer", MODEL, file, "-o", folder)
            result = load_reconstruction(run.folder / folder / "reconstruction.npz")
            x, y = result.origin.tolist()
            assert scan.object_guess is not None  # noqa: S101  simulated with its object
            truth = on_rectangle(scan.object_guess, (0, 0), scan.positions)
            region = on_rectangle(result.object, (x, y), scan.positions)
            found.append(complex_correlation(region, truth))
        run.case.figures[f"universal {name}"] = min(found)


CASES: Cases = {
    "run1084-1e6": (
        partial(run1084, photons=1e6),
        [Bound("universal", least=0.990), Bound("tuned", least=0.998)],
    ),
    "run1084-1e4": (
        partial(run1084, photons=1e4),
        [Bound("universal", least=0.985), Bound("tuned", least=0.996)],
    ),
    "run1084-1e3": (
        partial(run1084, photons=1e3),
        [Bound("universal", least=0.97), Bound("tuned", least=0.99)],
    ),
    "siemens": (
        siemens,
        [
            Bound("R universal", most=0.150),
            Bound("universal", least=0.965),
            Bound("R tuned", most=0.145),
            Bound("tuned", least=0.972),
        ],
    ),
    "few": (
        few,
        [Bound("universal a tenth", least=0.94), Bound("universal a fifth", least=0.96)],
    ),
    "instruments": (
        instruments,
        [Bound(f"universal {name}", least=0.97) for name in INSTRUMENTS],
    ),
}


def table(case: Case) -> str:
    """Lay the figures of a case out beside what they must reach."""
    bounds = {bound.figure: bound for bound in case.bounds}
    lines = [f"{case.name}:", "", row("figure", "found", "bound"), row(*3 * ["---"])]
    lines += [
        row(name, f"{value:.4f}", bounds.get(name, "")) for name, value in case.figures.items()
    ]
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> int:
    """Run the cases asked for; return 1 if one of them missed a bound."""
    return run_all("universal", __doc__, CASES, of_each(table), arguments)


if __name__ == "__main__":
    sys.exit(main())
