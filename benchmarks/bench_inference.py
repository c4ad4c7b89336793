"""Inference: patterns per second, and memory that does not grow with the scan.

`ptycho_torch.reconstruction.reconstruct` is run with untrained networks (they compute what trained
ones do) on scans held in memory. Time is that of the pass from counts to the stitched object and
of its R-factor, start-up apart. Memory is what the process needs at its peak above what it had
with the scan loaded, measured for 1000 and for 4000 patterns; every case has its own process.
"""

from __future__ import annotations

import multiprocessing
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

MEBIBYTE = 2**20
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


def memory(name: str) -> int:
    """Return an entry of the process's status in bytes, 0 where the system keeps none.

    ``VmRSS`` is the memory resident now, ``VmHWM`` its peak.
    """
    if not STATUS.exists():
        return 0
    lines = STATUS.read_text("utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def run(case: Case, device: str, threads: int, repeats: int) -> dict[str, Any]:
    """Reconstruct one case, first a little for warm-up, and return its figures."""
    import torch

    torch_devices(threads)
    scan = make_scan(case.n, case.N)
    bundle = untrained(scan, case)
    config = InferenceConfig(model_path="model", test_data_file="scan.npz", backend="pytorch")
    execution = PyTorchExecutionConfig(accelerator=device)
    reconstruct(bundle, scan, evolve(config, n_groups=min(case.n, 64)), execution)
    if FORGET_PEAK.exists():
        FORGET_PEAK.write_text("5", "ascii")
    loaded, runs, rates = memory("VmRSS"), [], []
    cpu = time.process_time()
    for _ in range(repeats):
        start = time.perf_counter()
        rates.append(reconstruct(bundle, scan, config, execution).patterns_per_second)
        runs.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    figures = {
        "patterns per second": sorted(rates)[len(rates) // 2],
        "patterns per CPU second": repeats * case.n / cpu,
        "MiB of the scan": scan.diffraction.nbytes / MEBIBYTE,
        "MiB added": (memory("VmHWM") - loaded) / MEBIBYTE,
        "MiB at peak": memory("VmHWM") / MEBIBYTE,
    }
    if device == "cuda":
        figures["MiB of the GPU"] = torch.cuda.max_memory_allocated() / MEBIBYTE
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
            repeats = 1 if options.quick or case.n > 1000 else 3
            results[f"{device}, {case}"] = start(case, device, options.threads, repeats)
    report("inference", results, options, gpu=graphics())


if __name__ == "__main__":
    main()
