"""The current estimate of object and probe, and its update by a batch of patterns.

The modulus of the predicted wave is replaced by the measured one, and the change ``r`` of the exit
waves is fitted by object and probe, each with its preconditioned gradient:

    object  sum_j P* r_j / ((1 - a) sum_j |P|^2 + a max(sum_j |P|^2))
    probe   sum_j O_j* r_j / ((1 - a) sum_j |O_j|^2 + a max(sum_j |O_j|^2))

with sums over the batch: the regularised PIE of A. Maiden, D. Johnson and P. Li, *Optica* 4, 736
(2017), for many patterns at once.
"""

import math
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from ptycho_physics._blocks import (
    block_index,
    blocks_to_patches,
    corners,
    gather,
    patches_to_blocks,
)
from ptycho_physics._forward import probe_intensity
from ptycho_physics._namespace import Array, abs2, as_like, scatter_add
from ptycho_physics._patches import extract_patches
from ptycho_physics.metrics import r_factor_sums
from ptycho_physics.solver._measurement import Measurement
from ptycho_physics.solver._propagator import FarField, Propagator, over_modes

SMALLEST_MODULUS = 1e-6
"""Predicted modulus below which the phase of a pixel is undefined; counts are of order one."""


@define(kw_only=True, eq=False)
class Estimate:
    """The current estimate.

    Attributes
    ----------
    measured : Measurement
        The patterns.
    positions : (n, 2) float64 NumPy array
        Patch centres ``(x, y)`` on the canvas.
    canvas : (H, W) complex64 array
        The object.
    probe : (M, N, N) complex64 array
        Multiplied by `centring`, so that no pattern has to be shifted.
    relaxation : float
        ``a`` of the formulas above.
    propagator : Propagator
        From patches and probe to the waves on the detector.
    misfit, total : float
        ``sum |sqrt(rate) - sqrt(counts)|`` and ``sum sqrt(counts)`` of the batches since both were
        set to zero.
    """

    measured: Measurement
    positions: NDArray[np.float64]
    canvas: Array
    probe: Array
    relaxation: float
    xp: Any
    propagator: Propagator = FarField()
    misfit: float = 0.0
    total: float = 0.0
    _weight: Array = field(init=False)  # (H*W,) real scratch, zero between batches

    @_weight.default
    def _nothing(self) -> Array:
        pixels = self.canvas.shape[0] * self.canvas.shape[1]
        return as_like(self.xp.zeros(pixels, dtype=self.xp.float32), self.canvas, self.xp)

    def patches(self, batch: NDArray[np.int64]) -> Array:
        """Return the object's patches (b, N, N) under these patterns."""
        where = as_like(self.xp.asarray(self.positions[batch]), self.canvas, self.xp)
        return extract_patches(self.canvas, where, self.probe.shape[-1], xp=self.xp)

    def missing(self, amplitude: Array, modulus: Array) -> Array:
        """Return the measured minus the predicted modulus, zero at bad pixels."""
        values = amplitude - modulus
        bad = self.measured.bad
        return values if bad is None else self.xp.where(bad, self.xp.zeros_like(values), values)

    def step(self, batch: NDArray[np.int64], *, update_probe: bool) -> None:
        """Update the object, and optionally the probe, by the patterns of a batch."""
        xp, N = self.xp, self.probe.shape[-1]
        shape = tuple(self.canvas.shape)
        where = as_like(xp.asarray(self.positions[batch]), self.canvas, xp)
        rows, columns, fx, fy = corners(where, N, shape, self.canvas, xp)
        blocks = gather(self.canvas, rows, columns, N, xp)
        patches = blocks_to_patches(blocks, fx, fy, xp)
        fields, kept = self.propagator.forward(patches, self.probe, xp)
        on_patches, on_probe = self.propagator.backward(
            self._change(fields, batch), patches, self.probe, kept, xp, probe_too=update_probe
        )
        index = block_index(rows, columns, N, shape, xp)
        self._update_object(patches_to_blocks(on_patches, fx, fy, xp), index)
        if on_probe is not None:
            self._update_probe(patches, on_probe)

    def _change(self, fields: Array, batch: NDArray[np.int64]) -> Array:
        """Turn waves on the detector into the change that gives them the measured modulus."""
        xp, amplitude = self.xp, self.measured.amplitude(batch)
        modulus = xp.sqrt(over_modes(abs2(fields, xp), xp))
        missing = self.missing(amplitude, modulus)
        misfit, total = r_factor_sums(modulus, amplitude, self.measured.bad, xp=xp)
        self.misfit += float(misfit)
        self.total += float(total)
        modulus += SMALLEST_MODULUS
        missing /= modulus
        fields *= missing[:, None]
        return fields

    def _update_object(self, numerator: Array, index: Array) -> None:
        xp, a = self.xp, self.relaxation
        light = probe_intensity(self.probe, xp=xp)[None]
        # The light half-way between pixels is used for all patterns: it only scales the step.
        half = as_like(xp.full((1, 1, 1), 0.5, dtype=xp.float32), light, xp)
        block = xp.reshape(patches_to_blocks(light, half, half, xp), (1, -1))
        lights = xp.broadcast_to(block, (numerator.shape[0], block.shape[1]))
        scatter_add(self._weight, index, xp.reshape(lights, (-1,)))
        # Dividing each block before adding it equals dividing the sum, for illuminated pixels only.
        weight = xp.take(self._weight, index, axis=0)
        self._weight[index] = 0
        brightest = xp.max(weight)
        weight *= 1 - a
        weight += a * brightest
        flat = xp.reshape(numerator, (-1,))
        flat /= weight
        scatter_add(xp.reshape(self.canvas, (-1,)), index, flat)

    def _update_probe(self, patches: Array, on_probe: Array) -> None:
        xp, a = self.xp, self.relaxation
        weight = xp.sum(abs2(patches, xp), axis=0)
        gradient = xp.sum(on_probe, axis=0)
        self.probe = self.probe + gradient / ((1 - a) * weight + a * xp.max(weight))

    def fix_gauge(self) -> None:
        """Normalise the probe to unit power; the object takes the factor, so the patterns stay."""
        power = float(self.xp.sum(abs2(self.probe, self.xp)))
        self.probe = self.probe / math.sqrt(power)
        self.canvas = self.canvas * math.sqrt(power)
