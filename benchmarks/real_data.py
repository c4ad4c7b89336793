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

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _measure import machine
from attrs import asdict, define, field, frozen
from ptycho_data import Scan, load_scan, save_scan
from ptycho_physics import solve

# Options of `ptycho train`, per kind of case; what is not named has its default.
GRIDSIZE_1 = "--n-groups 512 --gridsize 1"
QUICK = "--n-groups 512 --nepochs 11"
GRIDSIZE_2 = "--n-groups 512 --gridsize 2 --nepochs 8 --batch-size 4 --neighbor-count 7"
SIEMENS = "--nepochs 10"
SOLVER_EPOCHS = 8  # from a flat object, batches of 16
PROBE_REFINEMENT = "--update-probe --epochs 40 --batch-size 32"


@frozen
class Bound:
    """A figure and what it must reach."""

    figure: str
    least: float | None = None
    most: float | None = None

    def met(self, value: float | None) -> bool:
        """Tell whether a value keeps the bound; a missing one, or NaN, does not."""
        if value is None:
            return False
        return value >= self.least if self.least is not None else value <= (self.most or 0)

    def __str__(self) -> str:
        """Return it for people."""
        sign, value = (">=", self.least) if self.least is not None else ("<=", self.most)
        return f"{self.figure} {sign} {value:g}"


@define
class Case:
    """One case: what was run, what it cost, what it gave."""

    name: str
    bounds: list[Bound]
    steps: list[dict[str, Any]] = field(factory=list)
    figures: dict[str, float] = field(factory=dict)
    error: str | None = None

    @property
    def passed(self) -> bool:
        """Whether all went well and every bound is met."""
        return not self.error and all(b.met(self.figures.get(b.figure)) for b in self.bounds)


@frozen
class Runner:
    """Runs the steps of a case in its own folder, and notes what they cost."""

    case: Case
    data: Path
    folder: Path
    threads: int

    def __call__(self, step: str, *arguments: str | Path) -> None:
        """Run ``ptycho`` with these arguments."""
        words = [str(argument) for argument in arguments]
        shown = shlex.join(["ptycho", *words]).replace(str(self.data), "DATA_FOLDER")
        print(f"{self.case.name}: {shown}", flush=True)
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        log = self.folder / f"{step.replace(' ', '_')}.log"
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(  # noqa: S603  our own command
                [sys.executable, "-m", "ptycho_cli", *words],
                cwd=self.folder,
                env=os.environ | {"OMP_NUM_THREADS": str(self.threads)},
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        wall = time.perf_counter() - start
        self.case.steps.append({"step": step, "command": shown, "wall_s": wall, "cpu_s": cpu})
        print(f"{self.case.name}: {step}: {wall:.1f} s, {cpu:.1f} CPU s", flush=True)
        if done.returncode:
            lines = log.read_text("utf-8").strip().splitlines()
            msg = f"{step} ended with code {done.returncode}: {lines[-1] if lines else ''}"
            raise RuntimeError(msg)

    def read(self, name: str) -> dict[str, Any]:
        """Read a JSON file that a step has written."""
        return json.loads((self.folder / name).read_text("utf-8"))

    def simulate(self, photons: float) -> None:
        """Make scan.npz: the measured scene with this dose."""
        source = self.data / "run1084.npz"
        self(
            "simulate", "simulate", "--from", source, "--photons", f"{photons:g}", "-o", "scan.npz"
        )

    def evaluate(self, result: str) -> None:
        """Compare a result with the truth that the scan holds."""
        self("evaluate", "evaluate", result, "scan.npz", "-o", "evaluation")
        found = self.read("evaluation/evaluation.json")
        wanted = ("correlation", "amplitude_psnr", "phase_psnr", "phase_ssim")
        self.case.figures |= {name: found[name] for name in wanted}
        self.case.figures["r_factor"] = self.read(f"{result}/metrics.json")["r_factor"]


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


# Least complex correlation, by photons per pattern and gridsize.
CORRELATION = {
    ("1e6", "g1"): 0.99,
    ("1e4", "g1"): 0.97,
    ("1e3", "g1"): 0.93,
    ("1e6", "g2"): 0.97,
    ("1e4", "g2"): 0.95,
}
CASES: dict[str, tuple[Callable[[Runner], None], list[Bound]]] = {
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
    "solver": (solver, [Bound("correlation", least=0.999), Bound("solve_cpu_s", most=5)]),
    "siemens": (siemens, [Bound("r_factor", most=0.16)]),
}


def run_case(name: str, data: Path, out: Path, threads: int) -> Case:
    """Run one case in OUT/NAME; what goes wrong is part of what comes back."""
    work, bounds = CASES[name]
    case = Case(name, bounds)
    folder = out / name
    folder.mkdir(parents=True)
    try:
        work(Runner(case, data, folder, threads))
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        case.error = f"{type(error).__name__}: {error}"
        print(f"{name}: {case.error}", file=sys.stderr)
    return case


def row(*cells: object) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


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


def write(cases: list[Case], out: Path, threads: int) -> str:
    """Write what is known so far: a long run that is stopped leaves its figures.

    Returns the tables.
    """
    record = {
        "benchmark": "real_data",
        "machine": machine(),
        "threads": threads,
        "cases": [asdict(case) | {"passed": case.passed} for case in cases],
    }
    (out / "real_data.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    tables = markdown(cases, threads)
    (out / "real_data.md").write_text(tables, "utf-8")
    return tables


def parse_folders(
    about: str | None, cases: Mapping[str, object], arguments: list[str] | None = None
) -> argparse.Namespace:
    """Read the command line of a program that runs cases on the data folder."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("-o", "--output-dir", type=Path, required=True, metavar="OUT")
    parser.add_argument("--only", default=",".join(cases), help="cases, with commas between them")
    parser.add_argument("--threads", type=int, default=1, help="OMP_NUM_THREADS [default: 1]")
    options = parser.parse_args(arguments)
    options.names = options.only.split(",")
    unknown = [name for name in options.names if name not in cases]
    if unknown:
        parser.error(f"--only: cases are {', '.join(cases)}; found {', '.join(unknown)}")
    taken = [name for name in options.names if (options.output_dir / name).exists()]
    if taken:
        parser.error(f"{options.output_dir}: has results of {', '.join(taken)}; give a new folder")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the cases asked for; return 1 if one of them missed a bound."""
    options = parse_folders(__doc__, CASES, arguments)
    data, out = options.data.resolve(), options.output_dir.resolve()
    cases: list[Case] = []
    tables = ""
    for name in options.names:
        cases.append(run_case(name, data, out, options.threads))
        tables = write(cases, out, options.threads)
    print("\n" + tables)
    return 0 if all(case.passed for case in cases) else 1


if __name__ == "__main__":
    sys.exit(main())
