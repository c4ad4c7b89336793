"""Inference: patterns per second, and memory that does not grow with the scan.

`ptycho_torch.reconstruction.reconstruct` is run with untrained networks (they compute what trained
ones do) on scans held in memory. Time is that of the pass from counts to the stitched object and of
its R-factor, start-up apart; for `guided` it includes the estimate of the scan. Memory is what the
process has at its peak, and how much of it came on top of what it had with the scan in memory,
measured for 1000 and for 4000 patterns; every case has its own process.

The network's operations are counted (`torch.utils.flop_counter`: convolutions and products of
matrices, not FFTs or anything else), and stand, per second of the pass, beside what the same
process reaches with nothing but a 3 x 3 convolution of 64 channels, in the same precision.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from _measure import graphics, measure, parse, report, summarise, torch_devices, wait_for
from _memory import Peaks
from _scans import PHOTONS, make_scan
from attrs import evolve, frozen
from ptycho_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_data import Bundle, Scan
from ptycho_torch.bundles import bundle_of
from ptycho_torch.model import PtychoModel
from ptycho_torch.reconstruction import reconstruct


@frozen
class Case:
    """One network on one scan. Groups of ``gridsize**2`` patterns, every pattern in one of them."""

    architecture: str
    N: int
    gridsize: int
    n: int
    n_filters_scale: int = 2
    precision: str = "32-true"
    joint_stages: bool = False

    def __str__(self) -> str:
        """Return the label of the figures."""
        return (
            f"{self.architecture}, n_filters_scale={self.n_filters_scale}, {self.precision}, "
            f"N={self.N}, gridsize={self.gridsize}, {self.n} patterns"
            + (", joint stages" if self.joint_stages else "")
        )


CASES = [
    Case(architecture, N, gridsize, n)
    for architecture in ("unrolled", "cnn")
    for N, gridsize, n in ((64, 1, 1000), (64, 1, 4000), (64, 2, 250), (64, 2, 1000), (128, 1, 250))
]
CASES += [
    Case("unrolled", 64, 1, 1000, n_filters_scale, precision)
    for n_filters_scale, precision in ((2, "bf16-mixed"), (4, "32-true"), (4, "bf16-mixed"))
]
CASES += [
    Case(architecture, 64, 1, 1000, joint_stages=True) for architecture in ("unrolled", "guided")
]
QUICK = [Case(architecture, 64, 1, 4) for architecture in ("unrolled", "cnn", "guided")]


def untrained(scan: Scan, case: Case) -> Bundle:
    """Return the bundle of a network with its initial weights."""
    import torch

    torch.manual_seed(0)
    model = ModelConfig(
        N=case.N,
        gridsize=case.gridsize,
        architecture=case.architecture,
        n_filters_scale=case.n_filters_scale,
        joint_stages=case.joint_stages,
    )
    config = TrainingConfig(model=model, backend="pytorch")
    return bundle_of(
        PtychoModel(model, scan.probe),
        config,
        photons=PHOTONS,
        domain="counts",
        history={},
        overrides_applied={},
    )


def operations(bundle: Bundle, case: Case) -> float:
    """Count the floating-point operations of a pattern, in 1e9."""
    import torch
    from ptycho_torch.bundles import model_from
    from torch.utils.flop_counter import FlopCounterMode

    model, C = model_from(bundle), case.gridsize**2
    x, positions = torch.ones(1, C, case.N, case.N), torch.zeros(1, C, 1, 2)
    start = (x.to(torch.complex64), x) if model.network.starts_from_scan else ()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.diffraction_to_obj(x, positions, 1e6, *start)
    return float(counter.get_total_flops() / C / 1e9)


def convolution_peak(device: str, precision: str, repeats: int = 9) -> float:
    """Return 1e9 operations per second of a convolution alone, in its best run."""
    import torch

    half = {"bf16-mixed": torch.bfloat16}.get(precision)

    channels, side, batch = 64, 64, 8 if device == "cpu" else 256
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1).to(device)
    layer = layer.to(dtype=half, memory_format=torch.channels_last)
    image = torch.rand(batch, channels, side, side, device=device)
    image = image.to(dtype=half, memory_format=torch.channels_last)
    with torch.inference_mode():
        times = measure(lambda: layer(image), warmup=2, repeats=repeats, wait=wait_for(device))
    return 2 * 9 * channels**2 * side**2 * batch / times["min_s"] / 1e9


def run(case: Case, device: str, threads: int, repeats: int) -> dict[str, Any]:
    """Reconstruct one case, first a little for warm-up, and return its figures."""
    import torch

    torch_devices(threads)
    scan = make_scan(case.n, case.N)
    bundle = untrained(scan, case)
    config = InferenceConfig(backend="pytorch")
    execution = PyTorchExecutionConfig(accelerator=device, precision=case.precision)
    used, runs, rates = Peaks(), [], []
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
        "GFLOP/s": statistics.median(rates) * operations(bundle, case),
        "GFLOP/s of a convolution": convolution_peak(device, case.precision),
        "MiB of the scan": scan.diffraction.nbytes / 2**20,
        **used.figures(),
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
