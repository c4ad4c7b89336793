"""Inference: one streaming pass from a scan to its object."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from attrs import frozen
from lightning.fabric import Fabric
from numpy.typing import NDArray
from ptycho_config import InferenceConfig, PyTorchExecutionConfig, TrainingConfig, from_dict
from ptycho_data import Bundle, Reconstruction, Scan, group_positions, load_probe, subsample
from ptycho_physics import Canvas, extract_patches, probe_weight
from torch import Tensor

from ptycho_torch.bundles import BACKEND, model_from
from ptycho_torch.data import mean_counts
from ptycho_torch.groups import with_positions
from ptycho_torch.lightning_manners import make, quiet_lightning
from ptycho_torch.model import PtychoModel, input_scale
from ptycho_torch.overlap import SMALLEST_WEIGHT, weighted_sums

log = logging.getLogger(__name__)

PIXELS_PER_STEP = 64 * 64**2
"""Pixels of the patterns of one step, where ``inference_batch_size`` does not say: larger steps
gain nothing on a CPU and cost memory."""


@frozen(kw_only=True, eq=False)
class InferenceResult:
    """A reconstruction and how it was made.

    Attributes
    ----------
    reconstruction : Reconstruction
    r_factor : float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` of the stitched object.
    timings : dict of str to float
        Wall seconds of each stage.
    patterns_per_second : float
        Patterns over the seconds of the pass from file to object, start-up left out.
    backend : str
        Who computed.
    """

    reconstruction: Reconstruction
    r_factor: float
    timings: dict[str, float]
    patterns_per_second: float
    backend: str = BACKEND


def choose_probe(bundle: Bundle, scan: Scan, config: InferenceConfig) -> NDArray[np.complex64]:
    """Return the probe to reconstruct with, and log which it is.

    The file that ``config`` names; else the bundle's, if training did not use its scan's own probe
    as it was but refined it or took it from a file; else the scan's.
    """
    if config.probe_file is not None:
        log.info("probe: from %s", config.probe_file)
        return load_probe(config.probe_file)
    if bundle.config.get("probe_trainable") or bundle.config.get("probe_file"):
        log.info("probe: the one the network was trained with, kept in the bundle")
        return bundle.probe
    log.info("probe: from the scan")
    return scan.probe


def _check_fit(bundle: Bundle, scan: Scan) -> TrainingConfig:
    trained = from_dict(TrainingConfig, bundle.config)
    if trained.model.N != scan.N:
        msg = (
            f"N: the bundle was trained for patterns of {trained.model.N} pixels, the scan "
            f"{scan.source or ''} has {scan.N}; train on patterns of that size"
        )
        raise ValueError(msg)
    return trained


def make_groups(scan: Scan, config: InferenceConfig, gridsize: int) -> NDArray[np.int64]:
    """Draw the groups (B, C) to reconstruct: by default one around every pattern."""
    seed = config.subsample_seed or 0
    kept = subsample(scan.n, config.n_subsample, seed)
    groups = group_positions(
        scan.positions[kept],
        gridsize,
        n_groups=config.n_groups,
        neighbor_count=max(config.neighbor_count, gridsize**2 - 1),
        seed=seed,
    )
    return kept[groups]


@frozen(eq=False)
class _Pass:
    """What every batch of the pass needs."""

    scan: Scan
    canvas: Canvas
    device: torch.device
    nphotons: float
    photons: float

    def counts(self, indices: NDArray[np.int64]) -> Tensor:
        """Return the counts (..., N, N) of patterns ``indices``, on the device."""
        values = self.scan.counts(indices.reshape(-1), self.nphotons)
        shape = (*indices.shape, self.scan.N, self.scan.N)
        return torch.from_numpy(values).to(self.device).reshape(shape)

    def positions(self, indices: NDArray[np.int64]) -> Tensor:
        """Return the canvas positions (..., 2) of patterns ``indices``, on the device."""
        local = self.canvas.local(self.scan.positions[indices])
        return torch.from_numpy(local.astype(np.float32)).to(self.device)


def _padded(rows: NDArray[np.int64], size: int, *, pad: bool) -> NDArray[np.int64]:
    if not pad or len(rows) == size:
        return rows
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])


def _chunks(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _stitch(
    model: PtychoModel,
    work: _Pass,
    groups: NDArray[np.int64],
    execution: PyTorchExecutionConfig,
    autocast: Callable[[], Any],
    progress: Callable[[int], None],
) -> tuple[Tensor, Tensor]:
    """Run the network over all groups and add the weighted patches up on the canvas."""
    N, C = work.scan.N, groups.shape[1]
    size = execution.inference_batch_size or max(1, PIXELS_PER_STEP // (N**2 * C))
    weight = probe_weight(model.probe)
    if execution.middle_trim:
        rim = (N - min(N, execution.middle_trim)) // 2
        weight = torch.nn.functional.pad(weight[rim : N - rim, rim : N - rim], (rim,) * 4)
    total = torch.zeros(work.canvas.shape, dtype=torch.complex64, device=work.device)
    coverage = torch.zeros(work.canvas.shape, dtype=torch.float32, device=work.device)
    for rows in _chunks(groups, size):
        batch = _padded(rows, size, pad=execution.pad_eval)
        x = work.counts(batch).sqrt() * input_scale(N, work.photons)
        positions = work.positions(batch)
        with autocast():
            patches = model.diffraction_to_obj(x, positions.unsqueeze(-2))
        patches, positions = patches[: len(rows)], positions[: len(rows)]
        weighted_sums(patches, positions, weight, work.canvas.shape, onto=(total, coverage))
        progress(len(rows))
    return total, coverage


def _score(model: PtychoModel, work: _Pass, object_: Tensor, indices: NDArray[np.int64]) -> float:
    """R-factor of the stitched object over the patterns ``indices``."""
    good = ~model.bad_pixels
    misfit = total = 0.0
    for chosen in _chunks(indices, max(1, PIXELS_PER_STEP // work.scan.N**2)):
        patches = extract_patches(object_, work.positions(chosen), work.scan.N)
        measured = work.counts(chosen).sqrt()
        predicted = model.predict_counts(patches, work.photons).sqrt()
        misfit += float(((predicted - measured).abs() * good).sum())
        total += float((measured * good).sum())
    return misfit / total


@torch.inference_mode()
def reconstruct(
    bundle: Bundle,
    scan: Scan,
    config: InferenceConfig,
    execution: PyTorchExecutionConfig,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> InferenceResult:
    """Reconstruct the object of a scan with a trained model.

    The network's patches are added to one canvas, weighted by the illumination, and divided once:
    memory does not grow with the number of patterns. The scan's own mean counts set the scale, so
    another dose gives the same object.

    Parameters
    ----------
    bundle
        Trained model, of either backend.
    scan
        Patterns and positions, of the size N the model was trained for.
    config
        Which patterns to use; its model part is ignored, the bundle's counts.
    execution
        Device, precision, batch size, patch trim.
    progress
        Called with (groups done, groups in all) after each step.

    Returns
    -------
    InferenceResult

    Raises
    ------
    ValueError
        If bundle and scan do not fit.
    """
    started = time.perf_counter()
    trained = _check_fit(bundle, scan)
    with quiet_lightning():
        fabric = make(
            Fabric, accelerator=execution.accelerator, devices=1, precision=execution.precision
        )
    scan = with_positions(scan, measured=trained.positions_provided)
    probe = choose_probe(bundle, scan, config)
    model = model_from(bundle, probe, scan.bad_pixels)
    model = model.to(fabric.device)
    groups = make_groups(scan, config, trained.model.gridsize)
    indices = np.unique(groups)
    work = _Pass(
        scan=scan,
        canvas=Canvas.covering(scan.positions[indices], scan.N),
        device=fabric.device,
        nphotons=trained.nphotons,
        photons=mean_counts(scan, indices, trained.nphotons, probe),
    )
    prepared = time.perf_counter()
    done = 0

    def count(k: int) -> None:
        nonlocal done
        done += k
        if progress is not None:
            progress(done, len(groups))

    total, coverage = _stitch(model, work, groups, execution, fabric.autocast, count)
    lit = coverage > SMALLEST_WEIGHT
    object_ = torch.where(lit, total / torch.where(lit, coverage, 1.0), 1.0)
    stitched = time.perf_counter()
    r_factor = _score(model, work, object_, indices)
    scored = time.perf_counter()
    centres = work.canvas.local(scan.positions[indices])
    return InferenceResult(
        reconstruction=Reconstruction(
            object=object_.cpu().numpy(),
            coverage=coverage.cpu().numpy(),
            xcoords=centres[:, 0],
            ycoords=centres[:, 1],
            indices=indices,
            probe=model.probe.cpu().numpy(),
            origin=np.array(work.canvas.origin),
            pixel_size_m=scan.pixel_size_m,
        ),
        r_factor=r_factor,
        timings={
            "prepare": prepared - started,
            "reconstruct": stitched - prepared,
            "score": scored - stitched,
        },
        patterns_per_second=len(indices) / (stitched - prepared),
    )
