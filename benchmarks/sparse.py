"""A network trained on one half of a sample against a few patterns of the other half.

    python benchmarks/sparse.py DATA_FOLDER -o OUT [--only run1084,siemens-wide] [--threads 1]

DATA_FOLDER is that of `real_data.py`, and so are the two scenes. The network learns from the left
half of the scan, without labels. Then ever fewer patterns of the right half, as far apart from each
other as can be, are reconstructed by the network, by the network and the solver after it
(`--refine`), and by the solver alone from a flat object. Figures are complex correlations over the
rectangle of all right-half positions: with the true object for run1084 (1e6 photons per pattern);
for the measured star with the solver's result from all patterns, both without their mean. Nothing
is registered. Each scene is reconstructed with the usual network and with one twice as wide, each
trained from three seeds: tables show the worst and the best of them, and the worst is held against
the bounds. OUT keeps all results, `sparse.md` and `sparse.json`.
"""

from __future__ import annotations

import sys
from functools import partial
from statistics import median

import numpy as np
from _cases import Bound, Case, Cases, Runner, of_each, row, run_all
from numpy.typing import NDArray
from ptycho_data import Scan, load_probe, load_reconstruction, load_scan, save_scan
from ptycho_physics.metrics import complex_correlation
from real_data import PROBE_REFINEMENT, Complex, on_rectangle, siemens_scan

RUN1084 = "--n-groups 512 --nepochs 50 --synthetic-batches --joint-stages"
SIEMENS = "--nepochs 45 --batch-size 8 --synthetic-batches --average-weights --joint-stages"
WIDE = " --n-filters-scale 4"
RUN1084_PASSES, SIEMENS_PASSES = 10, 1
"""Passes of the solver after the network. Where probe and positions are measured and never quite
right, more than one fits their errors."""
SOLVER_EPOCHS = 100
SEEDS = 3


def farthest(positions: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Choose positions, each the farthest from those before, the first one first."""
    if count >= len(positions):
        return np.arange(len(positions))
    chosen, distance = [0], np.full(len(positions), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.sum((positions - positions[chosen[-1]]) ** 2, axis=1))
        chosen.append(int(distance.argmax()))
    return np.array(chosen)


def compare_few(
    run: Runner,
    scan: Scan,
    border: float,
    counts: tuple[int, ...],
    reference: Complex,
    *,
    training: str,
    passes: int,
    mean_removed: bool,
) -> None:
    """Train on the left of ``border`` and reconstruct so many patterns from its right."""
    left, right = (np.flatnonzero((scan.xcoords < border) == side) for side in (True, False))
    save_scan(run.folder / "left.npz", scan.select(left))
    for seed in range(SEEDS):
        model = ("-o", f"model_{seed}", "--seed", str(seed))
        run(f"train {seed}", "train", "left.npz", *model, *training.split())

    def score(step: str, *command: str) -> float:
        folder = step.replace(" ", "_")
        run(step, *command, "-o", folder)
        found = load_reconstruction(run.folder / folder / "reconstruction.npz")
        x, y = found.origin.tolist()
        region = on_rectangle(found.object, (x, y), scan.positions[right])
        return complex_correlation(region, reference, mean_removed=mean_removed)

    for count in (*counts, len(right)):
        few = f"right_{count}.npz"
        save_scan(run.folder / few, scan.select(right[farthest(scan.positions[right], count)]))
        for way, refine in (("network", ()), ("refined", ("--refine", str(passes)))):
            found = [
                score(f"{way} {count} {seed}", "infer", f"model_{seed}", few, *refine)
                for seed in range(SEEDS)
            ]
            run.case.figures |= {f"{way} {count}": min(found), f"{way} {count} best": max(found)}
        epochs = ("--epochs", str(SOLVER_EPOCHS))
        run.case.figures[f"solver {count}"] = score(f"solver {count}", "reconstruct", few, *epochs)


def run1084(run: Runner, training: str = RUN1084) -> None:
    """Simulate counts of a measured scene: the truth is known."""
    run.simulate(1e6)
    scan = load_scan(run.folder / "scan.npz")
    right = scan.positions[scan.xcoords >= 113]
    assert scan.object_guess is not None  # noqa: S101  simulate --from keeps it
    truth = on_rectangle(scan.object_guess, (0, 0), right)
    compare_few(
        run,
        scan,
        113,
        (6, 12, 24),
        truth,
        training=training,
        passes=RUN1084_PASSES,
        mean_removed=False,
    )


def siemens(run: Runner, training: str = SIEMENS) -> None:
    """Measured counts; the probe is refined with all of them, and that result is the reference."""
    scan = siemens_scan(run.data / "siemens_top.npz")
    save_scan(run.folder / "scan.npz", scan)
    run("solver", "reconstruct", "scan.npz", "-o", "solver", *PROBE_REFINEMENT.split())
    refined = load_reconstruction(run.folder / "solver" / "reconstruction.npz")
    probe = load_probe(run.folder / "solver" / "reconstruction.npz")
    scan = Scan(
        diffraction=scan.diffraction,
        xcoords=scan.xcoords,
        ycoords=scan.ycoords,
        probe=probe,
        domain="counts",
    )
    border = float(np.median(scan.xcoords))
    right = scan.positions[scan.xcoords >= border]
    x, y = refined.origin.tolist()
    few = tuple(round(part * len(right)) for part in (0.1, 0.2))
    whole = on_rectangle(refined.object, (x, y), right)
    compare_few(
        run,
        scan,
        border,
        few,
        whole,
        training=training,
        passes=SIEMENS_PASSES,
        mean_removed=True,
    )


RUN1084_BOUNDS = [
    Bound("network 6", least=0.97),
    Bound("refined 6", least=0.98),
    Bound("refined 12", least=0.985),
    Bound("refined 24", least=0.99),
]
SIEMENS_BOUNDS = [
    Bound("network 13", least=0.94),
    Bound("network 26", least=0.96),
    Bound("refined 13", least=0.94),
    Bound("refined 26", least=0.96),
]
CASES: Cases = {
    "run1084": (run1084, RUN1084_BOUNDS),
    "run1084-wide": (partial(run1084, training=RUN1084 + WIDE), RUN1084_BOUNDS),
    "siemens": (siemens, SIEMENS_BOUNDS),
    "siemens-wide": (partial(siemens, training=SIEMENS + WIDE), SIEMENS_BOUNDS),
}


def table(case: Case) -> str:
    """Lay the figures of a case out: a row for each number of patterns."""

    def shown(name: str) -> str:
        worst, best = case.figures[name], case.figures.get(f"{name} best")
        return f"{worst:.4f}" if best is None else f"{worst:.4f} - {best:.4f}"

    counts = sorted({int(name.split()[1]) for name in case.figures})
    ways = ("network", "refined", "solver")
    training = [step["cpu_s"] for step in case.steps if step["step"].startswith("train")]
    lines = [f"{case.name}: trained in {median(training):.0f} CPU s", ""]
    lines += [row("patterns", *ways), row(*4 * ["---"])]
    for count in counts:
        lines.append(row(count, *(shown(f"{way} {count}") for way in ways)))
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> int:
    """Run the cases asked for; return 1 if one of them missed a bound."""
    return run_all("sparse", __doc__, CASES, of_each(table), arguments)


if __name__ == "__main__":
    sys.exit(main())
