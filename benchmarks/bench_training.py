"""Training: one step of the optimiser, in patterns per second.

A step is what Lightning is told to do with a batch: network, overlap constraint, forward model,
Poisson loss, gradients of all weights, AdamW. Making the batch (counts, positions, canvas) is
measured beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from _measure import graphics, measure, parse, report, torch_devices, wait_for
from _scans import PHOTONS, make_scan
from attrs import frozen
from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_core.batches import spatial_batches
from ptycho_core.groups import ScanGroups
from ptycho_data import group_positions
from ptycho_torch.data import Batch, tensors
from ptycho_torch.model import PtychoModel
from ptycho_torch.module import PtychoModule

PATTERNS = 128


@frozen
class Case:
    """One network and one shape of batch; every batch holds ``groups * gridsize**2`` patterns."""

    architecture: str
    N: int
    gridsize: int
    groups: int

    def __str__(self) -> str:
        """Return the label of the figures."""
        return f"{self.architecture}, N={self.N}, gridsize={self.gridsize}, batch of {self.groups}"


CASES = [
    Case(architecture, N, gridsize, groups)
    for architecture in ("unrolled", "cnn")
    for N, gridsize, groups in ((64, 1, 16), (64, 2, 4), (128, 1, 16))
]
QUICK = [Case(architecture, 64, 2, 1) for architecture in ("unrolled", "cnn")]


def on_device(batch: Batch, device: str) -> Batch:
    """Move the tensors of a batch."""
    return {k: v.to(device) if hasattr(v, "to") else v for k, v in batch.items()}


def prepare(case: Case, device: str) -> tuple[Callable[[], Batch], Callable[[Batch], None]]:
    """Return what makes a batch and what trains on it."""
    import torch

    torch.manual_seed(0)
    scan = make_scan(PATTERNS, case.N)
    groups = group_positions(scan.positions, case.gridsize)
    data = ScanGroups(scan=scan, groups=groups, photons=PHOTONS)
    chosen = spatial_batches(scan.positions[groups].mean(axis=1), case.groups, seed=0)[0]
    config = TrainingConfig(
        model=ModelConfig(N=case.N, gridsize=case.gridsize, architecture=case.architecture),
        backend="pytorch",
        batch_size=case.groups,
    )
    model = PtychoModel(config.model, scan.probe)
    module = PtychoModule(model, config, PyTorchExecutionConfig(), "train_loss").to(device)
    optimizer = torch.optim.AdamW(module.parameters())

    def step(batch: Batch) -> None:
        optimizer.zero_grad()
        torch.stack(list(module.losses(batch).values())).sum().backward()
        optimizer.step()

    return lambda: on_device(tensors(data.batch(chosen)), device), step


def run(case: Case, device: str, warmup: int, repeats: int) -> dict[str, Any]:
    """Measure making a batch, and a step on it."""
    make, step = prepare(case, device)
    batch, wait = make(), wait_for(device)
    making = measure(make, warmup=warmup, repeats=repeats, wait=wait)
    cpu = time.process_time()
    result = measure(lambda: step(batch), warmup=warmup, repeats=repeats, wait=wait)
    cpu = (time.process_time() - cpu) / (warmup + repeats)
    patterns = case.groups * case.gridsize**2
    result["figures"] = {
        "patterns per second": patterns / result["median_s"],
        "patterns per CPU second": patterns / cpu,
        "ms to make the batch": 1e3 * making["median_s"],
    }
    return result


def main() -> None:
    """Measure every case and report."""
    options = parse(__doc__)
    warmup, repeats = (0, 1) if options.quick else (2, 7)
    results = {
        f"{device}, {case}": run(case, device, warmup, repeats)
        for device in torch_devices(options.threads)
        for case in (QUICK if options.quick else CASES)
    }
    report("training", results, options, gpu=graphics())


if __name__ == "__main__":
    main()
