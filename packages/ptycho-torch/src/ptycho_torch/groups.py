"""Which groups of a scan training learns from, and which it watches."""

import logging

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config import TrainingConfig
from ptycho_core.sampling import split_validation, training_groups, with_positions
from ptycho_core.scan_scale import mean_counts, truth_gain
from ptycho_data import Scan
from ptycho_physics import few_photons

from ptycho_torch.data import ScanGroups
from ptycho_torch.illumination import LARGEST_OFFSET

log = logging.getLogger(__name__)


@frozen(eq=False, kw_only=True)
class Parts:
    """What training learns from and what it watches, of one scan.

    Attributes
    ----------
    train : ScanGroups
    validation : ScanGroups or None
    """

    train: ScanGroups
    validation: ScanGroups | None = None


def _scaled(
    scan: Scan,
    groups: NDArray[np.int64],
    config: TrainingConfig,
    probe: NDArray[np.complex64],
    *,
    photons: float | None = None,
    number: int = 0,
    teams: bool = False,
) -> ScanGroups:
    """Fix the scale of the groups of a scan, from its own counts unless ``photons`` is given."""
    used = np.unique(groups)
    if photons is None:
        photons = mean_counts(scan, used, config.nphotons, probe)
    return ScanGroups(
        scan=scan,
        groups=groups,
        photons=photons,
        nphotons=config.nphotons,
        truth_gain=truth_gain(scan, used, probe) if config.needs_truth else None,
        teams=teams,
        number=number,
        margin=LARGEST_OFFSET if config.positions_trainable else 0.0,
    )


def prepare(
    scan: Scan,
    config: TrainingConfig,
    probe: NDArray[np.complex64] | None = None,
    *,
    number: int = 0,
    split: bool = True,
) -> Parts:
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
        Of the scan, among those of the training.
    split
        Set a part of the groups apart for validation, if there are enough.
    """
    probe = scan.probe if probe is None else probe
    scan = with_positions(scan, measured=config.positions_provided)
    groups = training_groups(scan, config)
    name = f"{scan.source.name}: " if scan.source is not None else ""
    chosen, held_back = split_validation(scan, groups) if split else (groups, None)
    teams = config.model.joint_stages
    train = _scaled(scan, chosen, config, probe, number=number, teams=teams)
    few = few_photons(train.photons, probe)
    if few and config.model.object_big and config.model.model_type == "pinn":
        log.info("%s%s: patterns are explained from their neighbours", name, few)
    if held_back is None:
        log.info("%s%d groups%s", name, len(chosen), ", without validation" if split else "")
        return Parts(train=train)
    log.info(
        "%straining on %d groups, validating on %d at its right edge",
        name,
        len(chosen),
        len(held_back),
    )
    held = _scaled(scan, held_back, config, probe, photons=train.photons, number=number)
    return Parts(train=train, validation=held)
