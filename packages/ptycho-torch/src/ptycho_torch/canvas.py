"""A canvas that grows with the scan."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from ptycho_core.groups import canvas_for
from ptycho_physics import Canvas, Mosaic, stitched_object, synchronise
from torch import Tensor


class GrowingCanvas:
    """Sums weighted patches, each multiplied by the phase factor that fits it to the others.

    Parameters
    ----------
    N
        Patch size in pixels.
    device
        Device of the sums.
    """

    def __init__(self, N: int, device: torch.device) -> None:
        self.N = N
        self.device = device
        self._bounds = np.empty((0, 2))
        self._mosaic = Mosaic(N)
        self._joined: tuple[Tensor, Tensor] | None = None

    @property
    def canvas(self) -> Canvas:
        """The smallest canvas that holds every patch so far.

        Raises
        ------
        ValueError
            If there is no patch yet.
        """
        return Canvas.covering(self._bounds, self.N)

    def reserve(self, positions: NDArray[np.float64]) -> None:
        """Extend the canvas to cover patches at ``positions`` (..., 2) of the object grid."""
        points = np.concatenate([self._bounds, positions.reshape(-1, 2)])
        bounds = np.stack([points.min(axis=0), points.max(axis=0)])
        if np.array_equal(bounds, self._bounds):
            return
        canvas_for(bounds, self.N)
        self._bounds = bounds
        self._mosaic.reserve(self.canvas)

    def add(self, patches: Tensor, positions: NDArray[np.float64], weight: Tensor) -> None:
        """Add patches (..., N, N), each with ``weight`` (N, N), at positions of the object grid."""
        self.reserve(positions)
        self._joined = None
        self._mosaic.add(patches.reshape(-1, self.N, self.N), positions.reshape(-1, 2), weight)

    def join(self, gather: Callable[[Tensor], Tensor]) -> None:
        """Sum the canvases of several processes, in phase with each other.

        Parameters
        ----------
        gather
            Function that returns the tensors of all processes, stacked.
        """
        totals, weights = (gather(part) for part in self._merged())
        flat = totals.flatten(1)
        products = (flat.conj() @ flat.T).cpu().numpy()
        pairs = np.argwhere(np.triu(np.ones(products.shape, dtype=bool), 1))
        factors = synchronise(pairs, products[tuple(pairs.T)], np.diag(products).real)
        turned = torch.from_numpy(factors.astype(np.complex64)).to(totals.device)
        self._joined = torch.einsum("p,phw->hw", turned, totals), weights.sum(dim=0)

    def _merged(self) -> tuple[Tensor, Tensor]:
        if not self._mosaic.empty:
            return self._mosaic.merged(self.canvas)
        weight = torch.zeros(self.canvas.shape, device=self.device)
        return weight.to(torch.complex64), weight

    def result(self) -> tuple[Tensor, Tensor]:
        """Return object and coverage (H, W) on `canvas`; the object is one where not lit."""
        total, weight = self._joined or self._merged()
        return stitched_object(total, weight), weight.clone()  # the sums go on with the scan
