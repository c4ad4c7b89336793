"""Groups of the patterns of a scan for training and validation, and batches of them.

A batch is a dictionary of arrays. Backends convert it to tensors in their own axis order:

``counts`` (B, C, N, N) float32
    measured counts;
``positions`` (B, C, 2) float32
    patch centres ``(x, y)`` on the batch's canvas;
``canvas`` (int, int)
    shape ``(H, W)`` of that canvas;
``photons`` float32 scalar
    mean counts per pattern of the scan;
``scan`` int
    index of the scan in the training: all patterns of a batch come from one scan;
``indices`` (B, C) int64
    numbers of the patterns in their scan;
``apart`` (B, C, 2) float32
    in training with ``joint_stages``: patch centres for the network, at which patches overlap only
    within random teams of the batch: see `ptycho_core.batches.teams_apart`;
``start`` (B, C, N, N) complex64, ``light`` (B, C, N, N) float32
    for networks that start from an estimate of the whole scan: its patches, and how strongly all
    patterns light each pixel, see `ptycho_core.scan_estimate`;
``truth`` (B, C, N, N) complex64
    ground-truth patches, for losses that need them; a modulus of one
    is the average transmission of the scan.
"""

import logging
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config import TrainingConfig
from ptycho_data import Scan
from ptycho_physics import Canvas, few_photons
from ptycho_physics.memory import require_memory

from ptycho_core.batches import teams_apart
from ptycho_core.sampling import split_validation, training_groups, with_positions
from ptycho_core.scan_estimate import ScanEstimate
from ptycho_core.scan_scale import mean_counts, truth_gain, truth_patches

__all__ = ["LARGEST_OFFSET", "ScanGroups", "canvas_for", "prepare"]

log = logging.getLogger(__name__)

LARGEST_OFFSET = 4.0
"""Maximum shift of a position along each axis during training, in pixels."""


def canvas_for(positions: NDArray[np.float64], N: int) -> Canvas:
    """Return the canvas of positions, after checking that it fits into memory.

    Parameters
    ----------
    positions : (..., 2) float64
        Patch centres ``(x, y)`` in pixels of the object grid.
    N
        Patch size in pixels.

    Raises
    ------
    InvalidValueError
        If the positions span too much, or are not finite.
    """
    points = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
    require_memory(points, N)
    return Canvas.covering(points, N)


@frozen(eq=False, kw_only=True)
class ScanGroups:
    """A scan and the groups of it that a training uses.

    Attributes
    ----------
    scan : Scan
    groups : (B, C) int64 array
        Pattern indices of each group.
    photons : float
        Mean counts per pattern that fixes the scale: see `ptycho_core.scan_scale.mean_counts`.
    nphotons : float or None
        Mean photons per pattern, for scans in the amplitude domain that do not state it.
    truth_gain : float or None
        Divides the ground truth, so that it is in the network's units: see
        `ptycho_core.scan_scale.truth_gain`. None for batches without ground truth.
    teams : bool
        Average random teams of each batch, not all of it, between the stages of a network: see
        `ptycho_core.batches.teams_apart`.
    number : int
        Index of the scan in the training, which selects its probe and bad pixels.
    margin : float
        Pixels around the patches on a batch's canvas, for positions that training refines.
    start : ScanEstimate or None
        For networks that start from an estimate of the whole scan; made from these groups alone.
    """

    scan: Scan
    groups: NDArray[np.int64]
    photons: float
    nphotons: float | None = None
    truth_gain: float | None = None
    teams: bool = False
    number: int = 0
    margin: float = 0.0
    start: ScanEstimate | None = None

    @property
    def centres(self) -> NDArray[np.float64]:
        """Mean position (B, 2) of each group."""
        means: NDArray[np.float64] = self.scan.positions[self.groups].mean(axis=1)
        return means

    def batch(self, chosen: NDArray[np.int64]) -> dict[str, Any]:
        """Return the batch of the groups ``chosen`` (B,), as the module describes it."""
        scan, groups = self.scan, self.groups[chosen]
        flat, shape = groups.reshape(-1), (*groups.shape, scan.N, scan.N)
        positions = scan.positions[flat]
        corners = [positions.min(axis=0) - self.margin, positions.max(axis=0) + self.margin]
        canvas = canvas_for(np.stack(corners), scan.N)
        batch: dict[str, Any] = {
            "counts": scan.counts(flat, self.nphotons).reshape(shape),
            "positions": canvas.local(positions).reshape(*groups.shape, 2).astype(np.float32),
            "canvas": canvas.shape,
            "photons": np.float32(self.photons),
            "scan": self.number,
            "indices": groups,
        }
        if self.teams:
            reach = scan.N + 1 + 2 * self.margin
            apart = teams_apart(positions.reshape(*groups.shape, 2), reach, seed=chosen)
            batch["apart"] = apart.astype(np.float32)
        if self.start is not None:
            batch["start"], batch["light"] = self.start.patches(groups)
        if self.truth_gain is not None:
            batch["truth"] = truth_patches(scan, flat).reshape(shape) / np.float32(self.truth_gain)
        return batch


def prepare(
    scan: Scan,
    config: TrainingConfig,
    probe: NDArray[np.complex64] | None = None,
    *,
    number: int = 0,
    split: bool = True,
    from_scan: bool = False,
) -> tuple[ScanGroups, ScanGroups | None]:
    """Choose training and validation groups of a scan and fix its scale.

    Parameters
    ----------
    scan
        Patterns and positions.
    config
        Sampling, grouping and losses.
    probe : (M, N, N) complex64, optional
        Probe that is used instead of the scan's own.
    number
        Index of the scan in the training.
    split
        Set a part of the groups apart for validation, if there are enough.
    from_scan
        Estimate the object, for a network that starts from it.

    Returns
    -------
    training, validation
        Groups of each; validation is None if no groups are set apart.
    """
    probe = scan.probe if probe is None else probe
    scan = with_positions(scan, measured=config.positions_provided)
    groups = training_groups(scan, config)
    name = f"{scan.source.name}: " if scan.source is not None else ""
    chosen, held_back = split_validation(scan, groups) if split else (groups, None)
    options: dict[str, Any] = {"number": number, "from_scan": from_scan}
    train = _scaled(scan, chosen, config, probe, teams=config.model.joint_stages, **options)
    few = few_photons(train.photons, probe)
    if few and config.model.object_big and config.model.model_type == "pinn":
        log.info("%s%s: low dose, patterns are predicted from neighbouring patches", name, few)
    if held_back is None:
        log.info("%s%d groups%s", name, len(chosen), ", without validation" if split else "")
        return train, None
    log.info(
        "%straining on %d groups, validating on %d at its right edge",
        name,
        len(chosen),
        len(held_back),
    )
    return train, _scaled(scan, held_back, config, probe, photons=train.photons, **options)


def _scaled(
    scan: Scan,
    groups: NDArray[np.int64],
    config: TrainingConfig,
    probe: NDArray[np.complex64],
    *,
    photons: float | None = None,
    number: int = 0,
    teams: bool = False,
    from_scan: bool = False,
) -> ScanGroups:
    """Fix the scale of the groups of a scan, from its own counts unless ``photons`` is given."""
    used = np.unique(groups)
    if photons is None:
        photons = mean_counts(scan, used, config.nphotons, probe)
    start = None
    if from_scan:
        start = ScanEstimate.of(scan, used, probe, photons=photons, nphotons=config.nphotons)
    return ScanGroups(
        scan=scan,
        groups=groups,
        photons=photons,
        nphotons=config.nphotons,
        truth_gain=truth_gain(scan, used, probe) if config.needs_truth else None,
        teams=teams,
        number=number,
        margin=LARGEST_OFFSET if config.positions_trainable else 0.0,
        start=start,
    )
