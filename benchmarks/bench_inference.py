"""Inference: patterns per second, and memory that does not grow with the scan.

`ptycho_torch.reconstruction.reconstruct` is run with untrained networks (they compute what trained
ones do) on scans held in memory. Time is that of the pass from counts to the stitched object and
of its R-factor, start-up apart. Memory is what the process has at its peak, and how much of it
came on top of what it had with the scan in memory, measured for 1000 and for 4000 patterns; every
case has its own process.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from _measure import graphics, parse, report, summarise, torch_devices
from _scans import PHOTONS, make_scan
from attrs import evolve, frozen
from ptycho_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_data import Bundle, Scan
from ptycho_torch.bundles import bundle_of
from ptycho_torch.model import PtychoModel
from ptycho_torch.reconstruction import reconstruct

STATUS = Path("/proc/self/status")
FORGET_PEAK = Path("/proc/self/clear_refs")  # Linux: "5" resets the peak


@frozen
class Case:
    """One network on one scan. Groups of ``gridsize**2`` patterns, one around every pattern."""

    architecture: str
    N: int
    gridsize: int
    n: int

    def __str__(self) -> str:
        """Return the label of the figures."""
        return f"{self.architecture}, N={self.N}, gridsize={self.gridsize}, {self.n} patterns"


CASES = [
    Case(architecture, N, gridsize, n)
    for architecture in ("unrolled", "cnn")
    for N, gridsize, n in ((64, 1, 1000), (64, 1, 4000), (64, 2, 250), (64, 2, 1000), (128, 1, 250))
]
QUICK = [Case(architecture, 64, 1, 4) for architecture in ("unrolled", "cnn")]


def untrained(scan: Scan, case: Case) -> Bundle:
    """Return the bundle of a network with its initial weights."""
    import torch

    torch.manual_seed(0)
    model = ModelConfig(N=case.N, gridsize=case.gridsize, architecture=case.architecture)
    config = TrainingConfig(model=model, train_data_file="scan.npz", backend="pytorch")
    return bundle_of(
        PtychoModel(model, scan.probe),
        config,
        photons=PHOTONS,
        domain="counts",
        history={},
        overrides_applied={},
    )


def memory(name: str) -> float:
    """Return an entry of the process's status in MiB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = STATUS.read_text("utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


class Memory:
    """The memory of this process from here on; Linux only, elsewhere there are no figures."""

    def __init__(self) -> None:
        self.known = FORGET_PEAK.exists()
        if self.known:
            FORGET_PEAK.write_text("5", "ascii")
            self.start = memory("VmRSS")

    def figures(self, scan: Scan) -> dict[str, float]:
        """Return peaks: all of it, and what came on top of the start."""
        if not self.known:
            return {}
        peak = memory("VmHWM")
        held = scan.diffraction.nbytes / 2**20
        return {"MiB of the scan": held, "MiB at peak": peak, "MiB added": peak - self.start}


def run(case: Case, device: str, threads: int, repeats: int) -> dict[str, Any]:
    """Reconstruct one case, first a little for warm-up, and return its figures."""
    import torch

    torch_devices(threads)
    scan = make_scan(case.n, case.N)
    bundle = untrained(scan, case)
    config = InferenceConfig(model_path="model", test_data_file="scan.npz", backend="pytorch")
    execution = PyTorchExecutionConfig(accelerator=device)
    used, runs, rates = Memory(), [], []
    reconstruct(bundle, scan, evolve(config, n_groups=min(case.n, 64)), execution)
    cpu = time.process_time()
    for _ in range(repeats):
        start = time.perf_counter()
        rates.append(reconstruct(bundle, scan, config, execution).patterns_per_second)
        runs.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    figures = {
        "patterns per second": statistics.median(rates),
        "patterns per CPU second": repeats * case.n / cpu,
        **used.figures(scan),
    }
    if device == "cuda":
        figures["MiB of the GPU"] = torch.cuda.max_memory_allocated() / 2**20
    return summarise(runs, figures=figures)


def run_apart(case: Case, device: str, threads: int, repeats: int) -> dict[str, Any]:
    """Run one case in a process of its own: no case profits from the memory of another."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(run, case, device, threads, repeats).result()


def main() -> None:
    """Measure every case and report."""
    options = parse(__doc__)
    results = {}
    for device in torch_devices(options.threads):
        for case in QUICK if options.quick else CASES:
            start = run if options.quick else run_apart
            repeats = 3 if not options.quick and case.n < 1000 else 1
            results[f"{device}, {case}"] = start(case, device, options.threads, repeats)
    report("inference", results, options, gpu=graphics())


if __name__ == "__main__":
    main()
