"""A network that has only seen simulations, on measured patterns of a beamline it never saw.

    python benchmarks/transfer.py DATA_FOLDER -o OUT [--threads 1]

DATA_FOLDER is that of `real_data.py`. Several scans are simulated, of cells and of wires, with
out-of-focus zone-plate probes of other sizes than the measured one; a network is trained on all of
them and then reconstructs the measured Siemens star with its probe. Beside it: a network trained on
the star itself, and an untrained one, which is the physics steps alone. The figure is the R-factor
of the stitched object. OUT keeps all results, `transfer.md` and `transfer.json`.
"""

from __future__ import annotations

import sys

from _cases import Bound, Case, Cases, Runner, of_each, row, run_all
from ptycho_data import save_scan
from real_data import PROBE_REFINEMENT, SIEMENS, siemens_scan

# Object, diameter of the probe in pixels (negative: before the focus).
SIMULATED = (
    ("random", 60),
    ("lines", 68),
    ("random", 76),
    ("lines", 84),
    ("random", 92),
    ("lines", 56),
)
SIMULATION = "--N 128 --size 320 --scan random --n-patterns 64 --photons 5e5"
TRAINING = "--nepochs 12"
UNTRAINED = "--nepochs 1 --learning-rate 1e-12"


def transfer(run: Runner) -> None:
    """Train on simulations, on the star, and not at all; reconstruct the star with each."""
    save_scan(run.folder / "scan.npz", siemens_scan(run.data / "siemens_top.npz"))
    run("refine probe", "reconstruct", "scan.npz", "-o", "solver", *PROBE_REFINEMENT.split())
    probe = ("--probe-file", "solver/reconstruction.npz")
    names = []
    for seed, (kind, size) in enumerate(SIMULATED):
        names.append(f"simulated_{seed}.npz")
        options = f"--object {kind} --probe defocused --probe-size {size} --seed {seed}"
        run("simulate", "simulate", "-o", names[-1], *options.split(), *SIMULATION.split())
    ways: dict[str, tuple[str, ...]] = {
        "elsewhere": (*names, *TRAINING.split()),
        "there": ("scan.npz", *probe, *SIEMENS.split()),
        "untrained": ("scan.npz", *probe, *UNTRAINED.split()),
    }
    for way, arguments in ways.items():
        run(f"train {way}", "train", "-o", f"model_{way}", *arguments)
        run(f"infer {way}", "infer", f"model_{way}", "scan.npz", "-o", f"result_{way}", *probe)
        found = run.read(f"result_{way}/metrics.json")
        run.case.figures[way] = found["r_factor"]
    figures = run.case.figures
    figures["elsewhere over there"] = figures["elsewhere"] / figures["there"]
    figures["elsewhere over untrained"] = figures["elsewhere"] / figures["untrained"]


CASES: Cases = {
    "siemens": (
        transfer,
        [Bound("elsewhere over there", most=1.3), Bound("elsewhere over untrained", most=0.999)],
    ),
}


def table(case: Case) -> str:
    """Lay the figures out, with what training cost."""
    seconds = {step["step"]: step["cpu_s"] for step in case.steps}
    lines = [row("trained", "R-factor", "training CPU s"), row(*3 * ["---"])]
    for way in ("elsewhere", "there", "untrained"):
        cost = f"{seconds[f'train {way}']:.0f}"
        lines.append(row(way, f"{case.figures[way]:.4f}", cost))
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> int:
    """Run the cases asked for; return 1 if one of them missed a bound."""
    return run_all("transfer", __doc__, CASES, of_each(table), arguments)


if __name__ == "__main__":
    sys.exit(main())
