"""Which groups of a scan training learns from, and which it watches."""

import logging

import numpy as np
from numpy.typing import NDArray
from ptycho_config import TrainingConfig
from ptycho_core.sampling import split_validation, training_groups, with_positions
from ptycho_core.scan_scale import mean_counts, truth_gain
from ptycho_data import Scan
from ptycho_physics import few_photons

from ptycho_tf.data import ScanGroups

log = logging.getLogger(__name__)


def _scaled(
    scan: Scan,
    groups: NDArray[np.int64],
    config: TrainingConfig,
    probe: NDArray[np.complex64],
    photons: float | None = None,
    *,
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
    )


def _remark(photons: float, config: TrainingConfig, probe: NDArray[np.complex64]) -> None:
    """Say so where few photons decide what training does."""
    few = few_photons(photons, probe)
    if few and config.model.object_big and config.model.model_type == "pinn":
        log.info("%s: patterns are explained from their neighbours", few)


def prepare(
    scan: Scan,
    test_scan: Scan | None,
    config: TrainingConfig,
    probe: NDArray[np.complex64] | None = None,
) -> tuple[ScanGroups, ScanGroups | None]:
    """Choose training and validation groups and fix the scale of each scan.

    Parameters
    ----------
    scan
        What to learn from.
    test_scan
        What to validate on; None sets a part of ``scan`` apart, if it is large enough.
    config
        Sampling, grouping and losses.
    probe : (M, N, N) complex64, optional
        Probe that is used instead of the scan's own.

    Returns
    -------
    train, validation
        The latter is None where there is none.
    """
    probe = scan.probe if probe is None else probe
    scan = with_positions(scan, measured=config.positions_provided)
    groups, teams = training_groups(scan, config), config.model.joint_stages
    if test_scan is not None:
        test_scan = with_positions(test_scan, measured=config.positions_provided)
        test_groups = training_groups(test_scan, config)
        train = _scaled(scan, groups, config, probe, teams=teams)
        _remark(train.photons, config, probe)
        return train, _scaled(test_scan, test_groups, config, probe)
    chosen, held_back = split_validation(scan, groups)
    train = _scaled(scan, chosen, config, probe, teams=teams)
    _remark(train.photons, config, probe)
    if held_back is None:
        log.info("training on all %d groups, without validation", len(chosen))
        return train, None
    log.info(
        "training on %d groups, validating on %d at its right edge", len(chosen), len(held_back)
    )
    return train, _scaled(scan, held_back, config, probe, train.photons)
