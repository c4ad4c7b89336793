"""Cases on a folder of data: the `ptycho` command from a file to figures that must be reached."""

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

from _measure import machine
from attrs import asdict, define, field, frozen


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

    def __call__(self, step: str, *arguments: str | Path, module: str = "ptycho_cli") -> None:
        """Run ``ptycho`` with these arguments, or another module."""
        words = [str(argument) for argument in arguments]
        program = ["ptycho"] if module == "ptycho_cli" else ["python", "-m", module]
        shown = shlex.join([*program, *words]).replace(str(self.data), "DATA_FOLDER")
        print(f"{self.case.name}: {shown}", flush=True)
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        log = self.folder / f"{step.replace(' ', '_')}.log"
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(  # noqa: S603  our own command
                [sys.executable, "-m", module, *words],
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


Cases = dict[str, tuple[Callable[[Runner], None], list[Bound]]]


def run_case(name: str, cases: Cases, data: Path, out: Path, threads: int) -> Case:
    """Run one case in OUT/NAME; what goes wrong is part of what comes back."""
    work, bounds = cases[name]
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


def write(benchmark: str, cases: list[Case], tables: str, out: Path, threads: int) -> None:
    """Write what is known so far: a long run that is stopped leaves its figures."""
    record = {
        "benchmark": benchmark,
        "machine": machine(),
        "threads": threads,
        "cases": [asdict(case) | {"passed": case.passed} for case in cases],
    }
    (out / f"{benchmark}.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    (out / f"{benchmark}.md").write_text(tables, "utf-8")


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


def of_each(table: Callable[[Case], str]) -> Callable[[list[Case], int], str]:
    """Return the layout that is a table for each case; of one that failed there are no figures."""
    return lambda cases, _: "\n".join(table(case) for case in cases if case.error is None)


def run_all(
    benchmark: str,
    about: str | None,
    cases: Cases,
    layout: Callable[[list[Case], int], str],
    arguments: list[str] | None = None,
) -> int:
    """Run the cases asked for, and write NAME.json and NAME.md after each.

    Parameters
    ----------
    benchmark
        NAME.
    about
        What the program says of itself.
    cases
        What can be asked for.
    layout
        Makes the tables of what is known so far, and of the number of threads.
    arguments
        Of the command line.

    Returns
    -------
    int
        1 if a case failed or missed a bound, else 0.
    """
    options = parse_folders(about, cases, arguments)
    data, out = options.data.resolve(), options.output_dir.resolve()
    done: list[Case] = []
    tables = ""
    for name in options.names:
        done.append(run_case(name, cases, data, out, options.threads))
        tables = layout(done, options.threads)
        write(benchmark, done, tables, out, options.threads)
    print("\n" + tables)
    return 0 if all(case.passed for case in done) else 1
