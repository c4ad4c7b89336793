"""Inference: one streaming pass from a scan to its object."""

import time
from collections.abc import Callable

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config import InferenceConfig, PyTorchExecutionConfig
from ptycho_core.batches import chunks
from ptycho_core.checks import check_fit, warn_if_few
from ptycho_core.probe_choice import choose_probe
from ptycho_core.results import InferenceResult
from ptycho_core.sampling import inference_groups, with_positions
from ptycho_core.scan_scale import mean_counts
from ptycho_data import Bundle, Reconstruction, Scan

from ptycho_torch.bundles import BACKEND, network_of
from ptycho_torch.devices import determinism, open_runner
from ptycho_torch.loading import CountsDataset, read
from ptycho_torch.reconstructor import Reconstructor


def reconstruct(
    bundle: Bundle,
    scan: Scan,
    config: InferenceConfig,
    execution: PyTorchExecutionConfig,
    *,
    probe: NDArray[np.complex64] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InferenceResult:
    """Reconstruct the object of a scan with a trained model.

    The network's patches are added to one canvas, weighted by the illumination, and divided once:
    memory does not grow with the number of patterns. The scan's own mean counts set the scale, so
    the object does not depend on the dose. Several devices share the patterns and sum their
    canvases; each returns the whole result.

    Parameters
    ----------
    bundle
        Trained model, of either backend.
    scan
        Patterns and positions, of the size N the model was trained for unless its network accepts
        any size.
    config
        Which patterns to use; its model part is ignored in favour of the bundle's.
    execution
        Devices, precision, batch size, loading, patch trim.
    probe : (M, N, N) complex64, optional
        Probe to use. Default: the bundle's or the scan's, see `ptycho_core.probe_choice`.
    progress
        Called with (groups done, groups in all) after each step.

    Returns
    -------
    InferenceResult

    Raises
    ------
    ValueError
        If bundle and scan do not match.
    """
    started = time.perf_counter()
    trained = bundle.training_config
    check_fit(trained.model.N, scan, any_size=network_of(bundle).any_size)
    scan = with_positions(scan, measured=trained.positions_provided)
    groups = inference_groups(scan, config, trained.model.gridsize)
    indices = np.unique(groups)
    warn_if_few(len(indices), "the quality of the object cannot be judged")
    probe = choose_probe(bundle, scan, probe)
    nphotons = trained.nphotons
    canvas = Reconstructor(
        bundle,
        probe=probe,
        bad_pixels=scan.bad_pixels,
        photons=mean_counts(scan, indices, nphotons, probe),
        domain="counts",
        execution=execution,
        runner=open_runner(execution),
    )
    canvas.reserve(scan.positions[indices])
    work = _Pass(scan, CountsDataset(scan, nphotons), canvas, execution)
    prepared = time.perf_counter()
    with torch.inference_mode(), determinism(execution.deterministic, canvas.runner.device):
        waiting = work.fill(groups, progress)
        object_, coverage = canvas.tensors()
        result = object_.cpu()  # waits for the device
        stitched = time.perf_counter()
        r_factor = work.score(object_, indices)
    scored = time.perf_counter()
    centres = canvas.canvas.local(scan.positions[indices])
    return InferenceResult(
        reconstruction=Reconstruction(
            object=result.numpy(),
            coverage=coverage.cpu().numpy(),
            xcoords=centres[:, 0],
            ycoords=centres[:, 1],
            indices=indices,
            probe=canvas.model.probe.cpu().numpy(),
            origin=np.array(canvas.canvas.origin),
            pixel_size_m=scan.pixel_size_m,
        ),
        r_factor=r_factor,
        timings={
            "prepare": prepared - started,
            "read": waiting,
            "reconstruct": stitched - prepared - waiting,
            "score": scored - stitched,
        },
        patterns_per_second=len(indices) / (stitched - prepared),
        backend=BACKEND,
        main_process=canvas.runner.main,
    )


@frozen(eq=False)
class _Pass:
    """The two passes over a scan: onto the canvas, and back to the counts."""

    scan: Scan
    data: CountsDataset
    canvas: Reconstructor
    execution: PyTorchExecutionConfig

    def fill(self, groups: NDArray[np.int64], progress: Callable[[int, int], None] | None) -> float:
        """Add all groups to the canvas; return the time spent waiting for patterns, in seconds."""
        canvas, runner = self.canvas, self.canvas.runner
        mine = runner.share(canvas.steps(groups, self.scan.positions))
        total, done, waiting = sum(map(len, mine)), 0, 0.0
        batches = read(self.data, mine, self.execution, runner.device)
        before = time.perf_counter()
        for rows, counts in batches:
            waiting += time.perf_counter() - before
            positions = self.scan.positions[rows]
            canvas.stitch(canvas.predict(counts, positions), positions)
            done += len(rows)
            if progress is not None:
                progress(done, total)
            before = time.perf_counter()
        canvas.join()
        return waiting

    def score(self, object_: torch.Tensor, indices: NDArray[np.int64]) -> float:
        """R-factor of the stitched object over the patterns ``indices``."""
        canvas, runner = self.canvas, self.canvas.runner
        mine = runner.share(chunks(indices, canvas.groups_per_step * canvas.group_size))
        wide = torch.float32 if runner.device.type == "mps" else torch.float64
        sums = torch.zeros(2, dtype=wide, device=runner.device)
        for chosen, counts in read(self.data, mine, self.execution, runner.device):
            sums += torch.stack(canvas.misfit(object_, counts, self.scan.positions[chosen]))
        misfit, total = runner.sum(sums).tolist()
        return float(misfit / total)
