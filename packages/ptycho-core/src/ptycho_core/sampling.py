"""Selection and grouping of the patterns of a scan, for all backends."""

import logging

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config import InferenceConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan, group_positions, places, subsample

from ptycho_core.batches import chunks, spatial_batches

__all__ = [
    "covering_groups",
    "inference_groups",
    "inference_steps",
    "split_validation",
    "training_groups",
    "with_photons",
    "with_positions",
]

log = logging.getLogger(__name__)

VALIDATION_FRACTION = 0.1
FEWEST_VALIDATION_GROUPS = 4


def with_positions(scan: Scan, *, measured: bool) -> Scan:
    """Return the scan with its measured or with its nominal positions."""
    if measured:
        return scan
    if scan.xcoords_start is None and scan.ycoords_start is None:
        log.warning(
            "%s: no nominal positions (xcoords_start, ycoords_start); measured positions are used",
            scan.source or "scan",
        )
    x, y = scan.start_positions.T
    return evolve(scan, xcoords=x, ycoords=y)


def with_photons(scan: Scan, nphotons: float | None) -> Scan:
    """Return a scan with this dose if it is in the amplitude domain and a dose is given."""
    if nphotons is None or scan.domain == "counts":
        return scan
    return evolve(scan, nphotons=nphotons)


def training_groups(scan: Scan, config: TrainingConfig) -> NDArray[np.int64]:
    """Draw the groups (B, C) of pattern indices for a training.

    Patterns of different scans, as `Scan.scan_index` numbers them, lie on different objects: a
    group has patterns of one scan. The settings hold for each scan.
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


def split_validation(
    scan: Scan, groups: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Set the groups at the right edge of the scan apart for validation.

    A strip, not a random choice: neighbours overlap, so random groups would not be independent. If
    a tenth of the groups is fewer than four, or more than half of them would share a pattern with
    the strip, all groups are used for training.
    """
    count = round(VALIDATION_FRACTION * len(groups))
    if count < FEWEST_VALIDATION_GROUPS:
        return groups, None
    order = np.argsort(scan.positions[groups][..., 0].mean(axis=1), kind="stable")
    train, validation = groups[np.sort(order[:-count])], groups[np.sort(order[-count:])]
    # A group at the border may contain places of the strip: it is used for neither.
    place = places(scan.positions)
    apart = train[~np.isin(place[train], place[validation]).any(axis=1)]
    if len(apart) < len(groups) / 2:
        log.warning(
            "no validation: %d of %d groups share patterns with the validation strip",
            len(train) - len(apart),
            len(groups),
        )
        return groups, None
    return apart, validation


def covering_groups(
    positions: NDArray[np.float64], size: int, *, seed: int = 0
) -> NDArray[np.int64]:
    """Divide positions into compact groups, so that each position is in one of them.

    Training draws groups around every pattern. Here that would process each pattern ``size`` times;
    measured with gridsize 2 on 120 simulated patterns, this is four times the work for a complex
    correlation of .9985 instead of .9980.

    Parameters
    ----------
    positions : (n, 2) float64
        Patch centres.
    size
        Members C of a group; the first is in the centre, the others follow by distance.
    seed
        Seed of the division.

    Returns
    -------
    (B, C) int64
        In the order of their first patterns. If ``size`` does not divide n, the last groups are
        filled with neighbours that are already in another group.

    Raises
    ------
    InvalidValueError
        If there are fewer positions than a group has members.
    """
    n = len(positions)
    if n < size:
        raise InvalidValueError(
            "positions",
            f"at least the {size} of a group",
            str(n),
            "use more patterns at once, or train with gridsize 1",
        )
    if size == 1:
        return np.arange(n)[:, np.newaxis]
    place = places(positions)
    groups = _compact(positions, place, size, seed)
    for k, short in enumerate(groups):
        if len(short) < size:
            away = np.square(positions - positions[short].mean(axis=0)).sum(axis=1)
            # other places first, as long as there are any, and of each the first pattern
            again = np.ones(n, bool)
            again[np.unique(place, return_index=True)[1]] = False
            again |= np.isin(place, place[short])
            again[short], away[short] = False, -1
            groups[k] = np.lexsort((away, again))[:size]
    table = _middle_first(positions, np.stack(groups))
    return table[np.argsort(table.min(axis=1), kind="stable")]


def _compact(
    positions: NDArray[np.float64], place: NDArray[np.int64], size: int, seed: int
) -> list[NDArray[np.int64]]:
    """Divide positions into compact groups, of repeated exposures one in each; some are short.

    Exposure by exposure: the first at each place, then the second, and so on, as long as most
    places have another one. The few that are left join the first.
    """
    order = np.argsort(place, kind="stable")
    counts = np.bincount(place)
    exposure = np.empty(len(place), np.int64)
    exposure[order] = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
    repeated = 2 * np.bincount(exposure) > len(counts)
    exposure[~repeated[exposure]] = 0
    groups: list[NDArray[np.int64]] = []
    for number in range(int(exposure.max()) + 1):
        rows = np.flatnonzero(exposure == number)
        groups += [rows[part] for part in spatial_batches(positions[rows], size, seed)]
    return groups


def _middle_first(positions: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order each group as in training: a seed, then its neighbours by distance."""

    def ordered_from(points: NDArray[np.float64]) -> NDArray[np.int64]:
        away = np.square(positions[groups] - points).sum(axis=2)
        return np.take_along_axis(groups, np.argsort(away, axis=1, kind="stable"), axis=1)

    middle = ordered_from(positions[groups].mean(axis=1, keepdims=True))[:, :1]
    return ordered_from(positions[middle])


def inference_groups(scan: Scan, config: InferenceConfig, gridsize: int) -> NDArray[np.int64]:
    """Choose the groups (B, C) to reconstruct: all patterns, or the requested number of groups."""
    seed = config.subsample_seed or 0
    kept = subsample(scan.n, config.n_subsample, seed)
    positions = scan.positions[kept]
    if config.n_groups is None:
        return kept[covering_groups(positions, gridsize**2, seed=seed)]
    groups = group_positions(
        positions,
        gridsize,
        n_groups=config.n_groups,
        neighbor_count=max(config.neighbor_count, gridsize**2 - 1),
        seed=seed,
    )
    return kept[groups]


def inference_steps(
    groups: NDArray[np.int64], positions: NDArray[np.float64], size: int, *, together: bool
) -> list[NDArray[np.int64]]:
    """Divide groups into the steps of a network.

    Parameters
    ----------
    groups : (B, C) int64 array
        Pattern indices of each group.
    positions : (n, 2) float64 array
        Positions of all patterns.
    size
        Number of groups per step; one step may be shorter.
    together
        Whether the network reconstructs the patterns of a step jointly: they are then close to each
        other. Otherwise they are in file order, which is read fastest.

    Returns
    -------
    list of (b, C) int64 arrays
        Every group once. With ``together`` the steps are in the order of their first groups, and
        any of them may be the shorter one.
    """
    if not together:
        return chunks(groups, size)
    steps = [np.sort(step) for step in spatial_batches(positions[groups].mean(axis=1), size)]
    return [groups[step] for step in sorted(steps, key=lambda step: int(step[0]))]
