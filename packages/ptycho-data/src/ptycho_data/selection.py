"""Which groups of patterns a training uses."""

import numpy as np
from numpy.typing import NDArray
from ptycho_config import TrainingConfig

from ptycho_data._grouping import group_positions, subsample
from ptycho_data._scan import Scan

__all__ = ["training_groups"]


def training_groups(scan: Scan, config: TrainingConfig) -> NDArray[np.int64]:
    """Draw the groups (B, C) of pattern indices for a training.

    Patterns of different scans, as `Scan.scan_index` numbers them, lie on different objects: a
    group has patterns of one scan. The settings hold for each scan.

    Parameters
    ----------
    scan : Scan
    config : TrainingConfig
        Its settings of sampling and grouping.

    Raises
    ------
    InvalidValueError
        If a setting does not suit the number of patterns; the message names it.
    """
    seed = config.seed if config.subsample_seed is None else config.subsample_seed

    def drawn(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        kept = rows[subsample(len(rows), config.n_subsample, seed)]
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

    index = np.zeros(scan.n, np.int64) if scan.scan_index is None else scan.scan_index
    return np.concatenate([drawn(np.flatnonzero(index == k)) for k in scan.scan_numbers])
