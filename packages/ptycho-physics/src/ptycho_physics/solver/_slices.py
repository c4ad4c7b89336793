r"""The estimate of a thick object: its slices are updated together.

Each slice has the preconditioned gradient of a thin object, with the light that the probe alone
would throw on it. What all slices have in common changes the wave L times, so each step is
multiplied by :math:`2 / (L + 1)`: together they never go twice as far as the patterns ask, where a
gradient method diverges.

Patterns say nothing about some differences between slices. Detail of the frequency :math:`k_r`
across and :math:`k_z` along the beam is damped, after each epoch, by

.. math:: 1 - \frac{2}{\pi} \arctan \frac{\beta^2 k_z^2}{k_r^2}

(Z. Chen et al., *Science* 372, 826, 2021, suppl.): the missing wedge. The sum of the slices stays.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import define
from numpy.typing import NDArray

from ptycho_physics._blocks import blocks_to_patches, gather
from ptycho_physics._multislice import MultiSlice, Slices
from ptycho_physics._namespace import Array, constant
from ptycho_physics.solver._estimate import Estimate


@define(kw_only=True, eq=False)
class SlicedEstimate(Estimate):
    """The current estimate of a thick object: see `Estimate`.

    Attributes
    ----------
    canvas : (L, H, W) complex64 array
        The slices.
    propagator : MultiSlice
    slices : Slices
    coupling : float
        ``beta`` above; 0 leaves the slices as they are.
    """

    propagator: MultiSlice
    slices: Slices
    coupling: float = 0.0

    def cut(self, place: tuple[Array, ...]) -> Array:
        """Return the patches (b, L, N, N) at a place."""
        rows, columns, fx, fy = place
        xp, N = self.xp, self.probe.shape[-1]
        levels = (gather(level, rows, columns, N, xp) for level in self.canvas)
        return xp.stack([blocks_to_patches(level, fx, fy, xp) for level in levels], axis=1)

    def layers(self, on_patches: Array) -> Iterator[tuple[Any, Array, Array]]:
        """Yield the slices: see `Estimate.layers`; ``on_patches`` (b, L, N, N)."""
        L, light = self.slices.number, self.probe
        on_patches = on_patches * (2 / (L + 1))
        for level in range(L):
            yield level, on_patches[:, level], light
            if level < L - 1:
                light = self.propagator.step.forward(light)

    def first_layer(self, patches: Array) -> Array:
        """Return the first slice (b, N, N) of patches (b, L, N, N)."""
        return patches[:, 0]

    def _multiply_first(self, factor: Array) -> None:
        self.canvas[0] = self.canvas[0] * factor

    def _multiply(self, factor: float) -> None:
        self.canvas = self.canvas * factor ** (1 / self.slices.number)

    def end_epoch(self) -> None:
        """Damp what the patterns do not say about differences between slices."""
        if not self.coupling:
            return
        xp, L = self.xp, self.slices.number
        # mirrored, so that the first slice has nothing to do with the last
        both = xp.concat([self.canvas, xp.flip(self.canvas, axis=0)], axis=0)
        weight = constant(wedge(tuple(both.shape), self.slices, self.coupling), self.canvas, xp)
        spectrum = xp.fft.fftn(both, axes=(0, 1, 2))
        self.canvas = xp.fft.ifftn(spectrum * weight, axes=(0, 1, 2))[:L, ...]


def wedge(shape: tuple[int, ...], slices: Slices, coupling: float) -> NDArray[np.float64]:
    """Return the weight of each frequency of a stack of slices."""
    kz, ky, kx = (
        np.fft.fftfreq(n, d)
        for n, d in zip(
            shape, (slices.thickness, slices.pixel_size, slices.pixel_size), strict=True
        )
    )
    along = (coupling * kz[:, None, None]) ** 2
    across = ky[:, None] ** 2 + kx**2
    return np.asarray(1 - 2 / math.pi * np.arctan2(along, across))
