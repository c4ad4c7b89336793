"""Canvases that fit into memory, and one that grows with the scan."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from ptycho_physics import Canvas, Mosaic, stitched_object, synchronise
from ptycho_physics.memory import machine_memory, object_memory
from torch import Tensor

LONGEST = 2**31


def canvas_for(positions: NDArray[np.float64], N: int) -> Canvas:
    """Return the canvas of positions, if a machine like this one can hold it.

    Parameters
    ----------
    positions : (..., 2) float64
        Patch centres ``(x, y)`` in pixels of the object grid.
    N
        Patch size in pixels.

    Raises
    ------
    ValueError
        If the positions span too much, or are not finite.
    """
    points = np.asarray(positions, dtype=np.float64).reshape(-1, 2)
    size = object_memory(points, N) if len(points) else 0.0
    far = len(points) > 0 and np.abs(points).max() > LONGEST
    if far or size > machine_memory():
        width, height = (np.ptp(points, axis=0) + N).tolist()
        msg = (
            f"positions: must be pixels of the object grid; they span {width:.6g} x {height:.6g} "
            f"pixels, {size / 2**30:.3g} GiB for the object: are they in another unit, or is one "
            "of them wrong?"
        )
        raise ValueError(msg)
    return Canvas.covering(points, N)


class GrowingCanvas:
    """Weighted patches added up wherever they lie, each with the phase in which it fits the others.

    Parameters
    ----------
    N
        Patch size in pixels.
    device
        Where to keep the sums.
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
            If there was none.
        """
        return Canvas.covering(self._bounds, self.N)

    def reserve(self, positions: NDArray[np.float64]) -> None:
        """Let the canvas cover patches at ``positions`` (..., 2) of the object grid."""
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
        """Add up the canvases of several processes, in phase with each other.

        Parameters
        ----------
        gather
            Returns the tensors of all processes, stacked.
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
        """Return object and coverage (H, W) on `canvas`; the object is one where no light fell."""
        total, weight = self._joined or self._merged()
        return stitched_object(total, weight), weight.clone()  # the sums go on with the scan
