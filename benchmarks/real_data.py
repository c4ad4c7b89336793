"""Acceptance on real data: the command line from a scan to figures that must be reached.

    python benchmarks/real_data.py DATA_FOLDER -o OUT [--only solver,siemens] [--threads 1]

DATA_FOLDER holds two public files that are not part of the project:

``run1084.npz``
    Probe, object and positions of a scan at the LCLS XPP instrument (run 1084), from the public
    repository hoidn/PtychoPINN: `probeGuess`, `objectGuess`, `xcoords`, `ycoords`. It holds no
    patterns; they are simulated.
``siemens_top.npz``
    Measured patterns of a Siemens star, APS Velociprobe, from `tests/data` of the public repository
    AdvancedPhotonSource/tike: the half of the scan with rows < 0, as `counts` (258, 128, 128)
    uint16 with the zero frequency in the corner, `scan_rowcol_px` (258, 2) in pixels and `probe`.

Every step is a process of its own, the `ptycho` command as a user runs it, with OMP_NUM_THREADS set
to `--threads`; its wall and CPU seconds are recorded. At the end OUT holds everything that the
steps wrote, `real_data.md` and `real_data.json`. The exit code is 1 if a figure misses its bound.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _cases import Bound, Case, Cases, Runner, row, run_all
from _measure import machine
from numpy.typing import NDArray
from ptycho_data import Scan, load_reconstruction, load_scan, save_scan
from ptycho_physics import solve

# Options of `ptycho train`, per kind of case; what is not named has its default.
GRIDSIZE_1 = "--n-groups 512 --gridsize 1"
QUICK = "--n-groups 512 --nepochs 8"
GRIDSIZE_2 = "--n-groups 512 --gridsize 2 --nepochs 8 --batch-size 4 --neighbor-count 7"
SIEMENS = "--nepochs 10"
SOLVER_EPOCHS = 8  # from a flat object, batches of 16
PROBE_REFINEMENT = "--update-probe --epochs 40 --batch-size 32"
CNN_SCENE = "--N 128 --n-patterns 96 --size 256 --scan random --object random --photons 1e6"
CNN = "--architecture cnn --n-filters-scale 1 --batch-size 4 --nepochs 60"
SEEDS = range(5)
# Options of `python -m ptycho_torch.train` for the fixture, by gridsize, as in existing scripts.
FIXTURE = {
    1: "--n_images 64 --max_epochs 1 --accelerator cpu --deterministic --num-workers 0 "
    "--learning-rate 1e-4",
    2: "--n_images 64 --gridsize 2 --batch_size 4 --max_epochs 1 --accelerator cpu --deterministic "
    "--num-workers 0 --learning-rate 1e-3",
}
Complex = NDArray[np.complex64]


def on_rectangle(
    image: Complex, origin: tuple[int, int], positions: NDArray[np.float64]
) -> Complex:
    """Cut out the rectangle of positions; one where the image does not reach."""
    (x0, y0), (x1, y1) = np.ceil(positions.min(axis=0)), np.floor(positions.max(axis=0)) + 1
    region = np.ones((int(y1 - y0), int(x1 - x0)), dtype=np.complex64)
    rows, columns = np.arange(int(y0), int(y1)), np.arange(int(x0), int(x1))
    rows, columns = rows - origin[1], columns - origin[0]
    here = np.ix_(
        (rows >= 0) & (rows < image.shape[0]), (columns >= 0) & (columns < image.shape[1])
    )
    region[here] = image[np.ix_(rows[here[0].ravel()], columns[here[1].ravel()])]
    return region


def trained(options: str, photons: float) -> Callable[[Runner], None]:
    """Return the case of a network trained and used on simulated patterns."""

    def work(run: Runner) -> None:
        run.simulate(photons)
        run("train", "train", "scan.npz", "-o", "model", *options.split())
        run("infer", "infer", "model", "scan.npz", "-o", "result")
        run.evaluate("result")
        run.case.figures["train_cpu_s"] = run.case.steps[1]["cpu_s"]
        run.case.figures["patterns"] = run.read("result/run.json")["patterns"]

    return work


def solver(run: Runner) -> None:
    """Solve from a flat object with the true probe: as a command, and the solution by itself."""
    run.simulate(1e6)
    run("solve", "reconstruct", "scan.npz", "-o", "result", "--epochs", str(SOLVER_EPOCHS))
    run.evaluate("result")
    scan = load_scan(run.folder / "scan.npz")
    counts = scan.counts()
    start = time.process_time()
    solution = solve(counts, scan.positions, scan.probe, epochs=SOLVER_EPOCHS)
    run.case.figures["solve_cpu_s"] = time.process_time() - start
    run.case.figures["process_cpu_s"] = run.case.steps[1]["cpu_s"]
    run.case.figures["r_factor_of_solve"] = solution.r_factors[-1]


def siemens_scan(path: Path) -> Scan:
    """Read the Siemens star into a scan: all that the file does differently is turned here."""
    with np.load(path, allow_pickle=False) as file:
        counts, rows_columns, probe = (file[k] for k in ("counts", "scan_rowcol_px", "probe"))
    return Scan(
        diffraction=np.fft.fftshift(counts, axes=(-2, -1)),  # zero frequency to [N//2, N//2]
        xcoords=rows_columns[:, 1].astype(np.float64),
        ycoords=rows_columns[:, 0].astype(np.float64),
        probe=probe.reshape(-1, *probe.shape[-2:]).astype(np.complex64),
        domain="counts",
    )


def siemens(run: Runner) -> None:
    """Refine the probe with the solver, then train and reconstruct with the refined one."""
    save_scan(run.folder / "scan.npz", siemens_scan(run.data / "siemens_top.npz"))
    run("refine probe", "reconstruct", "scan.npz", "-o", "solver", *PROBE_REFINEMENT.split())
    run.case.figures["solver_r_factor"] = run.read("solver/metrics.json")["r_factor"]
    probe = ("--probe-file", "solver/reconstruction.npz")
    run("train", "train", "scan.npz", "-o", "model", *probe, *SIEMENS.split())
    run("infer", "infer", "model", "scan.npz", "-o", "result", *probe)
    run.case.figures["r_factor"] = run.read("result/metrics.json")["r_factor"]


def siemens_in_one(run: Runner) -> None:
    """Train with the probe as supplied: the training refines it first."""
    save_scan(run.folder / "scan.npz", siemens_scan(run.data / "siemens_top.npz"))
    run("train", "train", "scan.npz", "-o", "model", "--refine-probe", *SIEMENS.split())
    run("infer", "infer", "model", "scan.npz", "-o", "result")
    metrics = run.read("result/metrics.json")
    run.case.figures |= {name: metrics[name] for name in ("r_factor", "r_over_noise")}


def cnn_at_128(run: Runner) -> None:
    """Train the plain network with several seeds: none may end in a flat amplitude.

    Simulated counts; the worst seed's contrast (standard deviation) of the amplitude in parts of
    the true one, and its correlation with it, over the scanned rectangle.
    """
    run("simulate", "simulate", "-o", "scan.npz", *CNN_SCENE.split())
    scan = load_scan(run.folder / "scan.npz")
    assert scan.object_guess is not None  # noqa: S101  simulated with its object
    truth = np.abs(on_rectangle(scan.object_guess, (0, 0), scan.positions))
    contrasts, correlations = [], []
    for seed in SEEDS:
        options = [*CNN.split(), "--seed", str(seed)]
        run(f"train {seed}", "train", "scan.npz", "-o", f"model_{seed}", *options)
        run(f"infer {seed}", "infer", f"model_{seed}", "scan.npz", "-o", f"result_{seed}")
        found = load_reconstruction(run.folder / f"result_{seed}" / "reconstruction.npz")
        x, y = found.origin.tolist()
        amplitude = np.abs(on_rectangle(found.object, (x, y), scan.positions))
        contrasts.append(amplitude.std() / truth.std())
        correlations.append(np.corrcoef(amplitude.ravel(), truth.ravel())[0, 1])
    run.case.figures["contrast"] = float(min(contrasts))
    run.case.figures["amplitude_correlation"] = float(min(correlations))


def fixture(run: Runner) -> None:
    """Cut 64 patterns out of the scene; train, load and infer, with the commands of scripts."""
    run.simulate(1e6)
    run("fixture", "fixture", "scan.npz", "-o", "fixture.npz", "--subset-size", "64")
    for gridsize, options in FIXTURE.items():
        model, result = f"model_{gridsize}", f"result_{gridsize}"
        where = ("--train_data_file", "fixture.npz", "--output_dir", model)
        run(f"train {gridsize}", *where, *options.split(), module="ptycho_torch.train")
        where = ("--model_path", model, "--test_data", "fixture.npz", "--output_dir", result)
        where = (*where, "--n_images", "64", "--accelerator", "cpu")
        run(f"infer {gridsize}", *where, module="ptycho_torch.inference")
        metrics = run.read(f"{result}/metrics.json")
        run.case.figures[f"r_factor_gridsize_{gridsize}"] = metrics["r_factor"]
    run.case.figures["wall_s"] = sum(step["wall_s"] for step in run.case.steps[1:])


# Least complex correlation, by photons per pattern and gridsize.
CORRELATION = {
    ("1e6", "g1"): 0.99,
    ("1e4", "g1"): 0.97,
    ("1e3", "g1"): 0.93,
    ("1e6", "g2"): 0.97,
    ("1e4", "g2"): 0.95,
}
CASES: Cases = {
    **{
        f"run1084-{photons}-{name}": (
            trained({"g1": GRIDSIZE_1, "g2": GRIDSIZE_2}[name], float(photons)),
            [Bound("correlation", least=least)],
        )
        for (photons, name), least in CORRELATION.items()
    },
    "run1084-quick": (
        trained(QUICK, 1e6),
        [Bound("correlation", least=0.97), Bound("train_cpu_s", most=60)],
    ),
    "fixture-64": (
        fixture,
        [
            Bound("wall_s", most=45),
            Bound("r_factor_gridsize_1", most=0.4),
            Bound("r_factor_gridsize_2", most=0.4),
        ],
    ),
    "solver": (solver, [Bound("correlation", least=0.999), Bound("solve_cpu_s", most=5)]),
    "siemens": (siemens, [Bound("r_factor", most=0.16)]),
    "siemens-refine-probe": (siemens_in_one, [Bound("r_factor", most=0.16)]),
    "cnn-128": (
        cnn_at_128,
        [Bound("contrast", least=0.5), Bound("amplitude_correlation", least=0.4)],
    ),
}


def markdown(cases: list[Case], threads: int) -> str:
    """Lay out bounds, figures and steps as Markdown."""
    about = machine()
    lines = [f"{about['processor']}, {threads} thread(s), {about['time']}", ""]
    lines += [row("case", "bound", "reached", ""), row(*4 * ["---"])]
    for case in cases:
        for bound in case.bounds:
            value = case.figures.get(bound.figure)
            found = case.error or "nothing" if value is None else f"{value:.4f}"
            lines.append(row(case.name, bound, found, "met" if bound.met(value) else "MISSED"))
    lines += ["", row("case", "step", "wall s", "CPU s", "command"), row(*5 * ["---"])]
    for case in cases:
        for step in case.steps:
            seconds = [f"{step[key]:.1f}" for key in ("wall_s", "cpu_s")]
            lines.append(row(case.name, step["step"], *seconds, f"`{step['command']}`"))
    lines += ["", row("case", "figures"), row(*2 * ["---"])]
    for case in cases:
        lines.append(row(case.name, ", ".join(f"{k} {v:.4g}" for k, v in case.figures.items())))
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the cases asked for; return 1 if one of them missed a bound."""
    return run_all("real_data", __doc__, CASES, markdown, arguments)


if __name__ == "__main__":
    sys.exit(main())
