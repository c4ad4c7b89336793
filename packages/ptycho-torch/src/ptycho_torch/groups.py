"""Which groups of a scan training learns from, and which it watches."""

import logging

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config import TrainingConfig
from ptycho_data import Scan, group_positions, subsample

from ptycho_torch.data import ScanGroups, mean_counts, truth_gain

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
    train, validation = groups[np.sort(order[:-count])], groups[np.sort(order[-count:])]
    # A group at the border may hold patterns of the strip: it belongs to neither part.
    return train[~np.isin(train, validation).any(axis=1)], validation


def with_positions(scan: Scan, *, measured: bool) -> Scan:
    """Return the scan with its measured positions, or with the nominal ones as its positions."""
    if measured:
        return scan
    x, y = scan.start_positions.T
    return evolve(scan, xcoords=x, ycoords=y)


def _needs_truth(config: TrainingConfig) -> bool:
    return config.model.model_type == "supervised" or config.realspace_mae_weight > 0


def _scaled(
    scan: Scan,
    groups: NDArray[np.int64],
    config: TrainingConfig,
    probe: NDArray[np.complex64],
    photons: float | None = None,
) -> ScanGroups:
    """Fix the scale of the groups of a scan, from its own counts unless ``photons`` is given."""
    used = np.unique(groups)
    if photons is None:
        photons = mean_counts(scan, used, config.nphotons, probe)
    with_truth = _needs_truth(config)
    return ScanGroups(
        scan=scan,
        groups=groups,
        photons=photons,
        nphotons=config.nphotons,
        truth_gain=truth_gain(scan, used, probe) if with_truth else None,
    )


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
    groups = make_groups(scan, config)
    if test_scan is not None:
        test_scan = with_positions(test_scan, measured=config.positions_provided)
        test_groups = make_groups(test_scan, config)
        return _scaled(scan, groups, config, probe), _scaled(test_scan, test_groups, config, probe)
    chosen, held_back = split_validation(scan, groups)
    train = _scaled(scan, chosen, config, probe)
    if held_back is None:
        log.info("training on all %d groups, without validation", len(chosen))
        return train, None
    log.info(
        "training on %d groups, validating on %d at its right edge", len(chosen), len(held_back)
    )
    return train, _scaled(scan, held_back, config, probe, train.photons)
