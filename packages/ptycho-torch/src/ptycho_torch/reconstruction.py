"""Inference with PyTorch: the pass of `ptycho_core.network_pass` over a scan."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from attrs import define, field
from numpy.typing import NDArray
from ptycho_core.batches import chunks
from ptycho_core.network_pass import GroupsDone, PassRequest, reconstruct_in_one_pass
from ptycho_core.results import InferenceResult
from ptycho_data import Bundle
from ptycho_physics import Canvas

from ptycho_torch.devices import determinism, open_runner
from ptycho_torch.loading import CountsDataset, read
from ptycho_torch.networks import NETWORKS
from ptycho_torch.reconstructor import Reconstructor


def reconstruct(bundle: Bundle, *scan_and_settings: Any, **options: Any) -> InferenceResult:
    """Reconstruct the object of a scan with a trained model.

    Several devices share the patterns and sum their canvases; each returns the whole result.
    Further parameters and errors are those of
    `ptycho_core.network_pass.reconstruct_in_one_pass`.
    """
    return reconstruct_in_one_pass(open_pass, NETWORKS, bundle, *scan_and_settings, **options)


@contextmanager
def open_pass(request: PassRequest) -> Iterator["_Pass"]:
    """Build the model on its device, and reserve the canvas of a scan."""
    runner = open_runner(request.execution)
    live = Reconstructor(
        request.bundle,
        probe=request.probe,
        bad_pixels=request.scan.bad_pixels,
        photons=request.photons,
        domain="counts",
        execution=request.execution,
        runner=runner,
    )
    live.reserve(request.scan.positions[request.indices])
    with torch.inference_mode(), determinism(request.execution.deterministic, runner.device):
        yield _Pass(request, CountsDataset(request.scan, request.nphotons), live)


@define(eq=False)
class _Pass:
    """The two passes over a scan: onto the canvas, and back to the counts."""

    request: PassRequest
    data: CountsDataset
    live: Reconstructor
    object_: torch.Tensor = field(init=False)

    @property
    def canvas(self) -> Canvas:
        return self.live.canvas

    @property
    def used_probe(self) -> NDArray[np.complex64]:
        return np.asarray(self.live.model.probe.cpu().numpy())

    @property
    def main_process(self) -> bool:
        return self.live.runner.main

    def stitch(
        self, progress: GroupsDone | None
    ) -> tuple[NDArray[np.complex64], NDArray[np.float32], float]:
        request, live, positions = self.request, self.live, self.request.scan.positions
        mine = live.runner.share(live.steps(request.groups, positions))
        total, done, waiting = sum(map(len, mine)), 0, 0.0
        before = time.perf_counter()
        for rows, counts in read(self.data, mine, request.execution, live.runner.device):
            waiting += time.perf_counter() - before
            start = None if request.start is None else request.start.patches(rows)
            live.stitch(live.predict(counts, positions[rows], start), positions[rows])
            done += len(rows)
            if progress is not None:
                progress(done, total)
            before = time.perf_counter()
        live.join()
        self.object_, coverage = live.tensors()
        return self.object_.cpu().numpy(), coverage.cpu().numpy(), waiting

    def score(self) -> float:
        request, live, runner = self.request, self.live, self.live.runner
        mine = runner.share(chunks(request.indices, live.groups_per_step * live.group_size))
        wide = torch.float32 if runner.device.type == "mps" else torch.float64
        sums = torch.zeros(2, dtype=wide, device=runner.device)
        for chosen, counts in read(self.data, mine, request.execution, runner.device):
            positions = request.scan.positions[chosen]
            sums += torch.stack(live.misfit(self.object_, counts, positions))
        misfit, total = runner.sum(sums).tolist()
        return float(misfit / total)
