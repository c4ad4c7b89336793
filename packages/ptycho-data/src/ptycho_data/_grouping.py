"""Groups of neighbouring patterns, which a network sees together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data._places import places

if TYPE_CHECKING:
    from scipy.spatial import cKDTree
import itertools
import math

from numpy.typing import ArrayLike

_BLOCK = 1 << 15
_SLACK = 1 + 1e-9
_MAX_CANDIDATES = 2048


def nearest(positions: NDArray[np.float64], k: int, seeds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the k nearest positions of each seed: itself, then by distance, then by index.

    A KD-tree leaves the order of equal distances open, and raster scans consist of equal
    distances. The tree therefore only proposes candidates, with some to spare; their squared
    distances are computed here with the same elementary operations everywhere, and equal ones
    are ordered by index. So the answer is the same on every platform.

    Parameters
    ----------
    positions : (n, 2) float64
        Finite coordinates.
    k
        1 <= k <= n, the seed counted.
    seeds : (m,) int64
        Indices into `positions`.

    Returns
    -------
    ndarray, (m, k) int64
        Column 0 is the seed.

    Raises
    ------
    InvalidValueError
        If some thousand positions tie for the last place (they coincide).
    """
    from scipy.spatial import cKDTree  # most of this package's import time, needed here alone

    tree = cKDTree(positions)
    place = np.empty(len(positions), np.int64)
    place[tree.indices] = np.arange(len(positions))
    # Seeds in the order of the tree's leaves: neighbours are then found in the CPU's caches.
    visit = np.argsort(place[seeds], kind="stable")
    out = np.empty((len(seeds), k), np.int64)
    size = k + 1
    for rows in _blocks(len(seeds)):
        chosen = visit[rows]
        out[chosen], size = _nearest_block(tree, positions, k, seeds[chosen], size)
    return out


def _blocks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _BLOCK):
        yield slice(start, start + _BLOCK)


def _nearest_block(
    tree: "cKDTree",
    positions: NDArray[np.float64],
    k: int,
    seeds: NDArray[np.int64],
    size: int,
) -> tuple[NDArray[np.int64], int]:
    """Ask the tree for more and more candidates until no tie is cut.

    Also returns how many candidates were enough for most of the seeds: the next block starts with
    them, since a raster has the same ties everywhere.
    """
    n = len(positions)
    out = np.empty((len(seeds), k), np.int64)
    todo = np.arange(len(seeds))
    size = enough = min(n, size)
    while len(todo):
        found = tree.query(positions[seeds[todo]], k=range(1, size + 1))
        distance, candidates = np.asarray(found[0]), np.asarray(found[1], np.int64)
        complete = distance[:, -1] > distance[:, k - 1] * _SLACK
        if size == n:
            complete[:] = True
        done = todo[complete]
        out[done] = _order(positions, seeds[done], candidates[complete], k)
        if len(todo) > len(seeds) // 2:
            enough = size
        todo = todo[~complete]
        if len(todo) and size >= _MAX_CANDIDATES:
            got = f"more than {size} equally far from position {seeds[todo[0]]}"
            raise InvalidValueError("positions", "different", got, "group a subset of them")
        size = min(n, size + max(4, size // 2))
    return out, enough


def _order(
    positions: NDArray[np.float64],
    seeds: NDArray[np.int64],
    candidates: NDArray[np.int64],
    k: int,
) -> NDArray[np.int64]:
    candidates = np.sort(candidates, axis=1)
    offset = positions[candidates] - positions[seeds][:, np.newaxis]
    squared = offset[..., 0] * offset[..., 0] + offset[..., 1] * offset[..., 1]
    squared[candidates == seeds[:, np.newaxis]] = -1.0  # first, even among coinciding positions
    ranks = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(candidates, ranks, axis=1)


_RANDOM_ROUNDS = 64


def group_positions(
    positions: ArrayLike,
    gridsize: int,
    *,
    n_groups: int | None = None,
    neighbor_count: int = 4,
    seed: int | None = 0,
    sequential: bool = False,
    oversample: bool = False,
) -> NDArray[np.int64]:
    """Choose groups of ``C = gridsize**2`` neighbouring positions.

    Each group has a seed position of its own and C - 1 positions drawn without replacement from
    the rest of the seed's K nearest neighbours. The seed comes first, the others follow by
    distance. Only uniform random numbers of PCG64 and stable sorts are used, and equal distances
    are ordered by index, so the same seed gives the same groups on every platform.

    Of repeated exposures at one place (see `places`) a group has only one, chosen at random, unless
    there are fewer than C places.

    Parameters
    ----------
    positions : array_like, (n, 2)
        Finite coordinates, not all equal; float64.
    gridsize
        Side of a group, >= 1. With 1, each group is one pattern.
    n_groups
        Number of groups B; None for one per position.
    neighbor_count
        K, the seed counted. ``K = C - 1`` is taken as a count without the seed, so the group is
        then the seed with its C - 1 nearest. Unused for gridsize 1.
    seed
        Of the random numbers; None for different groups each time.
    sequential
        Take the first `n_groups` positions as seeds; otherwise they are drawn, without
        replacement. Either way groups are ordered by their seed.
    oversample
        Allow more groups than positions: seeds are then used again with other neighbours. No two
        groups hold the same positions until all combinations are used up; then they repeat.

    Returns
    -------
    ndarray, (B, C) int64
        Indices into `positions`, distinct within a group.

    Raises
    ------
    InvalidValueError
        If an argument is impossible; the message names it.

    Examples
    --------
    >>> square = [(0, 0), (1, 0), (0, 1), (1, 1)]
    >>> group_positions([*square, (9, 9)], 2, n_groups=1, sequential=True)[0].tolist()
    [0, 1, 2, 3]
    """
    points = _checked_positions(positions)
    n, C = len(points), _group_size(gridsize)
    wanted = n if n_groups is None else n_groups
    if wanted < 1:
        raise InvalidValueError("n_groups", "at least 1", f"{wanted}")
    if wanted > n and not oversample:
        advice = "" if C == 1 else "use fewer, or set enable_oversampling"
        rule = f"at most {n}, one group per position"
        raise InvalidValueError("n_groups", rule, f"{wanted}", advice)
    pool = _pool_size(C, neighbor_count, n)
    rng = np.random.default_rng(seed)
    if wanted > n:
        seeds = np.arange(n) if sequential else _shuffled(n, rng)
        return _oversampled(_neighbours(points, C, pool, seeds, rng), C, wanted, rng)
    seeds = np.arange(wanted) if sequential else subsample(n, wanted, rng)
    if C == 1:
        return seeds[:, np.newaxis]
    return _draw(_neighbours(points, C, pool, seeds, rng), C, rng)


def _neighbours(
    points: NDArray[np.float64],
    C: int,
    pool: int,
    seeds: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the `pool` nearest of each seed, at different places if there are enough for C."""
    place = places(points)
    first, exposures = np.unique(place, return_index=True, return_counts=True)[1:]
    if len(first) == len(points) or len(first) < C:
        return nearest(points, pool, seeds)
    near = nearest(points[first], min(pool, len(first)), place[seeds])
    # Patterns in the order of their places, so that those of a place follow each other.
    order, start = np.argsort(place, kind="stable"), np.cumsum(exposures) - exposures
    chosen = (rng.random(near.shape) * exposures[near]).astype(np.int64)
    out: NDArray[np.int64] = order[start[near] + chosen]
    out[:, 0] = seeds
    return out


def subsample(
    n: int, n_subsample: int | None, seed: int | np.random.Generator | None = 0
) -> NDArray[np.int64]:
    """Draw some of n patterns without replacement.

    Parameters
    ----------
    n
        Number of patterns.
    n_subsample
        How many to keep; None for all.
    seed
        Of the draw, or a generator to continue; None for another draw each time.

    Returns
    -------
    ndarray, (n_subsample,) int64
        Ascending indices, so that files are read front to back.

    Raises
    ------
    InvalidValueError
        If there are not that many.

    Examples
    --------
    >>> subsample(5, None)
    array([0, 1, 2, 3, 4])
    >>> len(subsample(100, 10))
    10
    """
    if n_subsample is None or n_subsample == n:
        return np.arange(n)
    if not 1 <= n_subsample <= n:
        raise InvalidValueError("n_subsample", f"1 to {n}, the patterns", f"{n_subsample}")
    return np.sort(_shuffled(n, np.random.default_rng(seed))[:n_subsample])


def _checked_positions(positions: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(positions, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise InvalidValueError("positions", "of shape (n, 2) with n >= 1", f"{points.shape}")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        got = f"NaN or infinity in {len(bad)} rows, first in row {bad[0]}"
        raise InvalidValueError("positions", "finite", got)
    if len(points) > 1 and (points == points[0]).all():
        raise InvalidValueError("positions", "different", f"{len(points)} equal ones")
    return points


def _group_size(gridsize: int) -> int:
    if gridsize < 1:
        raise InvalidValueError("gridsize", "at least 1", f"{gridsize}")
    return gridsize * gridsize


def _pool_size(C: int, neighbor_count: int, n: int) -> int:
    """Return how many nearest positions, the seed counted, a group is drawn from."""
    if C == 1:
        return 1
    if neighbor_count < C - 1:
        rule = f"at least {C - 1} for groups of {C}"
        raise InvalidValueError("neighbor_count", rule, f"{neighbor_count}")
    pool = max(neighbor_count, C)
    if pool > n:
        advice = "lower neighbor_count or gridsize, or use more patterns"
        raise InvalidValueError("neighbor_count", f"at most {n}, the positions", f"{pool}", advice)
    return pool


def _shuffled(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a random order of n; unlike Generator.permutation it cannot change with NumPy."""
    return np.argsort(rng.random(n), kind="stable")


def _draw(near: NDArray[np.int64], C: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Keep each row's seed and C - 1 of the others, drawn without replacement."""
    keys = rng.random((len(near), near.shape[1] - 1))
    chosen = 1 + np.sort(np.argsort(keys, axis=1, kind="stable")[:, : C - 1], axis=1)
    columns = np.concatenate([np.zeros((len(near), 1), np.int64), chosen], axis=1)
    return np.take_along_axis(near, columns, axis=1)


def _oversampled(
    near: NDArray[np.int64], C: int, wanted: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Go round all seeds, each time with other neighbours, until there are enough groups."""
    groups = np.empty((0, C), np.int64)
    for new in _rounds(near, C, wanted, rng):
        groups = _distinct(np.concatenate([groups, new]))
        if len(groups) >= wanted:
            return groups[:wanted]
    return groups[np.arange(wanted) % len(groups)]


def _rounds(
    near: NDArray[np.int64], C: int, wanted: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield one group per seed and round.

    Few combinations are listed, each seed going through all of its own in random order. Many
    are drawn freely: a set of positions comes from at most C seeds, so with more than 4 C
    combinations per wanted group a draw is seldom a repetition.
    """
    n, pool = near.shape
    if n * math.comb(pool - 1, C - 1) > 4 * C * wanted:
        for _ in range(_RANDOM_ROUNDS * -(-wanted // n)):
            yield _draw(near, C, rng)
        return
    others = np.array(list(itertools.combinations(range(1, pool), C - 1)), np.int64)
    columns = np.concatenate([np.zeros((len(others), 1), np.int64), others], axis=1)
    orders = np.argsort(rng.random((n, len(columns))), axis=1, kind="stable")
    for order in orders.T:
        yield np.take_along_axis(near, columns[order], axis=1)


def _distinct(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep the first of groups that hold the same positions."""
    _, first = np.unique(np.sort(groups, axis=1), axis=0, return_index=True)
    return groups[np.sort(first)]
