"""Which patterns were taken at the same place."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["places"]

#: Largest distance, in mean distances of neighbours, of patterns at one place: an encoder never
#: reads the same value twice. In random scans, few patterns come that close by chance ...
_SHARE_OF_PITCH = 0.1
#: ... and largest distance in pixels.
_PIXELS = 0.5


def places(positions: ArrayLike) -> NDArray[np.int64]:
    """Return the place of each pattern as a number, the same for repeated exposures.

    Positions are at the same place if they are within half a pixel, and within a tenth of the mean
    distance of neighbours.

    Parameters
    ----------
    positions : array_like, (n, 2)
        Finite coordinates, in pixels; n >= 1.

    Returns
    -------
    ndarray, (n,) int64
        Numbers from 0, without a gap, in the order of the first pattern at each place.

    Examples
    --------
    >>> places([(0, 0), (9, 0), (0, 9), (9, 9), (0.1, 0)])
    array([0, 1, 2, 3, 0])
    """
    points = np.asarray(positions, dtype=np.float64)
    # as complex numbers, which sort ten times faster than rows
    distinct, which = np.unique(points @ (1, 1j), return_inverse=True)
    cells = np.stack([distinct.real, distinct.imag], axis=1)
    labels = _close(cells, min(_PIXELS, _SHARE_OF_PITCH * _pitch(points)))
    return _by_first(labels[which])


def _pitch(points: NDArray[np.float64]) -> float:
    """Mean distance of neighbours, if points filled a rectangle, or a line, evenly.

    Of the middle four fifths in each direction, so that outliers do not count.
    """
    low = np.quantile(points, 0.1, axis=0, method="higher")
    high = np.quantile(points, 0.9, axis=0, method="lower")
    width, height = (np.maximum(high - low, 0) / 0.8).tolist()
    n = len(points)
    return float(max(max(width, height) / n, np.sqrt(width * height / n)))


def _close(points: NDArray[np.float64], reach: float) -> NDArray[np.int64]:
    """Label clusters of distinct points that are within `reach`, and not much wider than that."""
    alone = np.arange(len(points))
    if reach <= 0 or len(points) < 2:
        return alone
    # costly to import, and needed here alone
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    tree = cKDTree(points)
    # A stop is looked for only where the nearest is that close: few are, in most scans.
    near = np.flatnonzero(np.asarray(tree.query(points, k=2)[0])[:, 1] <= reach)
    if not len(near):
        return alone
    pairs = near[cKDTree(points[near]).query_pairs(reach, output_type="ndarray")]
    n = len(points)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    labels = np.asarray(connected_components(graph, directed=False)[1], np.int64)
    low, high = np.full((2, n, 2), np.inf)
    np.minimum.at(low, labels, points)
    np.minimum.at(high, labels, -points)
    # A chain of close points is a path of small steps, not a stop.
    wide = (-high - low).max(axis=1) > 2 * reach
    return np.where(wide[labels], n + alone, labels)


def _by_first(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumber labels in the order in which they occur."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse]
