"""Nearest neighbours with a fixed order, ties included."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

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
    ValueError
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
            raise ValueError(
                f"positions: more than {size} are equally far from position {seeds[todo[0]]}; "
                "too many coincide, group a subset of them"
            )
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
