"""Which groups of a scan training learns from, and which it watches."""

import logging

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config import TrainingConfig
from ptycho_data import Scan, group_positions, subsample

from ptycho_torch.data import ScanGroups, mean_counts

log = logging.getLogger(__name__)

VALIDATION_FRACTION = 0.1
FEWEST_VALIDATION_GROUPS = 4


def make_groups(scan: Scan, config: TrainingConfig) -> NDArray[np.int64]:
    """Draw the groups (B, C) of pattern indices that ``config`` asks for."""
    seed = config.seed if config.subsample_seed is None else config.subsample_seed
    kept = subsample(scan.n, config.n_subsample, seed)
    groups = group_positions(
        scan.positions[kept],
        config.model.gridsize,
        n_groups=config.n_groups,
        neighbor_count=config.neighbor_pool_size or config.neighbor_count,
        seed=seed,
        sequential=config.sequential_sampling,
        oversample=config.enable_oversampling,
    )
    return kept[groups]


def split_validation(
    scan: Scan, groups: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Set the groups at the right edge of the scan apart for validation.

    A strip, not a random choice: neighbours overlap, and a random group would have been seen.
    Where a tenth of the groups is fewer than four, everything is for training.
    """
    count = round(VALIDATION_FRACTION * len(groups))
    if count < FEWEST_VALIDATION_GROUPS:
        return groups, None
    order = np.argsort(scan.positions[groups][..., 0].mean(axis=1), kind="stable")
    return groups[np.sort(order[:-count])], groups[np.sort(order[-count:])]


def _needs_truth(config: TrainingConfig) -> bool:
    return config.model.model_type == "supervised" or config.realspace_mae_weight > 0


def prepare(
    scan: Scan, test_scan: Scan | None, config: TrainingConfig
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

    Returns
    -------
    train, validation
        The latter is None where there is none.
    """
    if not config.positions_provided:
        scan = evolve(scan, xcoords=scan.start_positions[:, 0], ycoords=scan.start_positions[:, 1])

    def used(source: Scan, groups: NDArray[np.int64]) -> ScanGroups:
        photons = mean_counts(source, np.unique(groups), config.nphotons)
        return ScanGroups(
            scan=source,
            groups=groups,
            photons=photons,
            nphotons=config.nphotons,
            with_truth=_needs_truth(config),
        )

    groups = make_groups(scan, config)
    if test_scan is not None:
        return used(scan, groups), used(test_scan, make_groups(test_scan, config))
    train, validation = split_validation(scan, groups)
    if validation is None:
        log.info("training on all %d groups, without validation", len(train))
        return used(scan, train), None
    log.info(
        "training on %d groups, validating on %d at its right edge", len(train), len(validation)
    )
    return used(scan, train), used(scan, validation)
