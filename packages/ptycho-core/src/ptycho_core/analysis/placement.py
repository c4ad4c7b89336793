"""Where the patterns of a scan lie: distinct places, and how far apart these are.

Only positions are looked at. What the distances mean depends on the probe: see
`ptycho_core.analysis.scan_statistics.overlap`.
"""

from functools import cached_property

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from ptycho_data import places
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import Delaunay, QhullError

__all__ = ["Placement"]

#: Share of the places that hang together at the step of a scan. The others may be outliers.
MOST = 0.9
#: Places farther away than this multiple of the step are outliers, if they are few.
FAR = 3.0
#: Largest share of the patterns that are outliers.
FEW = 0.05
#: Coordinates farther out than this multiple of the scan's size are set to it, since the
#: triangulation needs the digits.
FARTHEST = 1e5
#: Width of a line relative to its length, below which no triangle of it is computed.
FLAT = 1e-9


@define(eq=False, slots=False)
class Placement:
    """Places of one scan and the shortest links that join them.

    Attributes
    ----------
    positions : (n, 2) float64 array
        Positions of the patterns, ``(x, y)`` in pixels; n >= 1.
    """

    positions: NDArray[np.float64] = field()

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """Number (n,) of the place of each pattern: see `ptycho_data.places`."""
        return places(self.positions)

    @cached_property
    def exposures(self) -> NDArray[np.int64]:
        """Number (k,) of patterns at each place."""
        return np.bincount(self.place)

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """Coordinates (k, 2) of the places, means of the patterns at each."""
        sums = [np.bincount(self.place, weights=axis) for axis in self.positions.T]
        return np.stack(sums, axis=1) / self.exposures[:, np.newaxis]

    @cached_property
    def _near(self) -> NDArray[np.float64]:
        """Places (k, 2) about their middle, those too far out moved nearer."""
        low, middle, high = np.quantile(self.points, [0.1, 0.5, 0.9], axis=0)
        reach = FARTHEST * (high - low).max() or np.inf
        return np.asarray(np.clip(self.points - middle, -reach, reach))

    @cached_property
    def extent(self) -> tuple[float, float]:
        """Length and width of the scan, along and across its longest direction, in pixels."""
        along, across = self._turned.T
        return float(np.ptp(along)), float(np.ptp(across))

    @cached_property
    def _turned(self) -> NDArray[np.float64]:
        """Places (k, 2) in a frame whose first axis is the longest direction."""
        centred = self._near - self._near.mean(axis=0)
        return np.asarray(centred @ np.linalg.eigh(centred.T @ centred)[1][:, ::-1])

    @cached_property
    def pitch(self) -> float:
        """Mean distance of neighbours if places filled the scanned area, or line, evenly."""
        points = self.points[self.main]
        k = len(points)
        if k < 2:
            return 0.0
        length, width = Placement(points).extent if k < len(self.points) else self.extent
        upright = float(np.prod(np.ptp(points, axis=0)))
        side = float(np.sqrt(min(length * width, upright)))  # the smaller box fits better
        return float(max(length / (k - 1), side / max(np.sqrt(k) - 1, 1)))

    @cached_property
    def links(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Shortest links that join all places, a minimum spanning tree.

        Pairs (k - 1, 2) of places and distances (k - 1,) in pixels, the shortest first.
        """
        pairs = self._neighbours()
        k = len(self.points)
        lengths = np.linalg.norm(self.points[pairs[:, 0]] - self.points[pairs[:, 1]], axis=1)
        graph = coo_array((lengths, (pairs[:, 0], pairs[:, 1])), shape=(k, k)).tocsr()
        tree = minimum_spanning_tree(graph).tocoo()
        order = np.argsort(tree.data, kind="stable")
        return np.stack([tree.row, tree.col], axis=1)[order].astype(np.int64), tree.data[order]

    def _neighbours(self) -> NDArray[np.int64]:
        """Pairs (m, 2) of neighbouring places, each once, among them those of the links."""
        k, (length, width) = len(self.points), self.extent
        flat = k < 4 or width <= FLAT * length
        try:
            mesh = None if flat else Delaunay(self._near)
        except QhullError:  # on a line, as far as the triangulation can tell
            mesh = None
        if mesh is None:
            order = np.argsort(self._turned[:, 0], kind="stable")
            return np.stack([order[:-1], order[1:]], axis=1)
        sides = mesh.simplices[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        # Points that coincide within the precision of the triangulation hang on its corners.
        pairs = np.sort(np.concatenate([sides, mesh.coplanar[:, [0, 2]]]).astype(np.int64), axis=1)
        codes = np.unique(pairs[:, 0] * k + pairs[:, 1])
        return np.stack(np.divmod(codes, k), axis=1)

    def parts(self, reach: float) -> NDArray[np.int64]:
        """Return the part (k,) of each place, if links of at most `reach` pixels join them.

        Part 0 has most places.
        """
        pairs, lengths = self.links
        return self._joined(pairs[: np.searchsorted(lengths, reach, side="right")])

    def _joined(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        k = len(self.points)
        graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(k, k))
        labels = connected_components(graph, directed=False)[1]
        rank = np.argsort(np.argsort(-np.bincount(labels), kind="stable"), kind="stable")
        return np.asarray(rank[labels], dtype=np.int64)

    @cached_property
    def step(self) -> float:
        """Smallest distance whose links join nearly all places, in pixels; 0 for one place.

        On a raster, the distance of neighbours; between rows, if these are farther apart than the
        places in them.
        """
        pairs, lengths = self.links
        k = len(self.points)
        wanted = min(int(np.ceil(MOST * k)), max(k - 1, 2))
        few, enough = 0, len(lengths)
        while few < enough:
            middle = (few + enough) // 2
            if np.count_nonzero(self._joined(pairs[:middle]) == 0) >= wanted:
                enough = middle
            else:
                few = middle + 1
        return float(lengths[enough - 1]) if enough else 0.0

    @cached_property
    def main(self) -> NDArray[np.bool_]:
        """Which places (k,) are no outliers: all, unless a few are far from the others."""
        inside = self.parts(FAR * self.step) == 0
        apart = int(self.exposures[~inside].sum())
        few = apart <= max(1, FEW * len(self.positions))
        return inside if few else np.ones_like(inside)

    @cached_property
    def gap(self) -> float:
        """Longest link, outliers left out: what must be bridged to join the scan, in pixels."""
        pairs, lengths = self.links
        inner = lengths[self.main[pairs].all(axis=1)]
        return float(inner[-1]) if len(inner) else 0.0
