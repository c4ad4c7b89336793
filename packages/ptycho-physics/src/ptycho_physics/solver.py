"""A preconditioned gradient solver on the canvas: the classical answer, with a known probe.

For a batch of patterns the modulus of the predicted wave is replaced by the measured one, the
change is propagated back to the object, and the canvas moves by

    sum_j conj(P) residual_j / ((1 - a) sum_j |P|^2 + a max(sum_j |P|^2))

where the sums run over the patterns of the batch: the regularised PIE of A. Maiden, D. Johnson and
P. Li, *Optica* 4, 736 (2017), for many patterns at once.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import define, frozen
from numpy.typing import NDArray

from ptycho_physics._namespace import Array, abs2, as_like, fft2, ifft2, namespace, scatter_add
from ptycho_physics.forward import detected_fraction, normalise_probe, probe_intensity
from ptycho_physics.geometry import Canvas
from ptycho_physics.patches import (
    block_index,
    blocks_to_patches,
    merge_patches,
    patches_to_blocks,
)

SMALLEST_MODULUS = 1e-6
"""Predicted modulus below which a pixel's phase is taken as undefined; counts are order one."""


CHUNK = 64
"""Patterns at a time where a whole scan is passed over."""


class DivergenceError(ArithmeticError):
    """The solver's residual became not-a-number or infinite."""


@frozen(kw_only=True, eq=False)
class Solution:
    """What the solver found.

    Attributes
    ----------
    object : (H, W) complex64 array
        The object on ``canvas``; one where no light fell.
    coverage : (H, W) float32 array
        Illumination summed over the scan, of a probe with maximum one.
    probe : (M, N, N) complex64 array
        The probe at unit power, refined when that was asked for.
    canvas : Canvas
        Where the object lies on the object grid.
    r_factors : list of float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` during each epoch, before its updates.
    """

    object: Array
    coverage: Array
    probe: Array
    canvas: Canvas
    r_factors: list[float]


@define
class _Estimate:
    """The measured patterns of a run, and object and probe while they change."""

    counts: Array  # (n, N, N), zero frequency in the centre
    positions: NDArray[np.float64]  # (n, 2) on the canvas
    shape: tuple[int, int]
    photons: float
    good: Array | None  # (N, N) real, 0 at bad pixels, zero frequency in the corner
    canvas: Array  # (H*W,) complex
    weight: Array  # (H*W,) real scratch, zero between batches
    probe: Array  # (M, N, N)
    relaxation: float
    xp: Any
    misfit: float = 0.0
    total: float = 0.0

    def amplitude(self, batch: NDArray[np.int64]) -> Array:
        """Measured amplitude (b, N, N) in units of the mean pattern, corner-centred."""
        xp = self.xp
        chosen = xp.take(self.counts, as_like(xp.asarray(batch), self.counts, xp), axis=0)
        values = xp.sqrt(xp.astype(chosen, xp.float32) / self.photons)
        values = xp.fft.ifftshift(values, axes=(-2, -1))
        # a bad pixel may hold anything, also what no product with zero removes
        return values if self.good is None else xp.where(self.good > 0, values, 0.0 * self.good)

    def step(self, batch: NDArray[np.int64], *, update_probe: bool) -> None:
        """Move object, and probe if asked for, towards the patterns of ``batch``."""
        xp, N = self.xp, self.probe.shape[-1]
        where = as_like(xp.asarray(self.positions[batch]), self.counts, xp)
        index, fx, fy = block_index(where, N, self.shape, xp=xp)
        fx, fy = xp.astype(fx, xp.float32), xp.astype(fy, xp.float32)
        blocks = xp.take(self.canvas, xp.reshape(index, (-1,)), axis=0)
        patches = blocks_to_patches(xp.reshape(blocks, tuple(index.shape)), fx, fy)
        residual = self._residual(patches[:, None] * self.probe, self.amplitude(batch))
        self._update_object(residual, index, fx, fy)
        if update_probe:
            self._update_probe(patches, residual)

    def _residual(self, waves: Array, amplitude: Array) -> Array:
        """Change of the exit waves that gives their patterns the measured modulus."""
        xp = self.xp
        fields = fft2(waves, xp)
        modulus = xp.sqrt(xp.sum(abs2(fields, xp), axis=-3))
        ratio = amplitude / (modulus + SMALLEST_MODULUS) - 1
        misfit = xp.abs(modulus - amplitude)
        if self.good is not None:
            ratio, misfit, amplitude = ratio * self.good, misfit * self.good, amplitude * self.good
        self.misfit += float(xp.sum(misfit))
        self.total += float(xp.sum(amplitude))
        return ifft2(fields * ratio[:, None], xp)

    def _update_object(self, residual: Array, index: Array, fx: Array, fy: Array) -> None:
        xp, a = self.xp, self.relaxation
        light = probe_intensity(self.probe, xp=xp)
        gradient = xp.sum(xp.conj(self.probe) * residual, axis=-3)
        numerator = patches_to_blocks(gradient, fx, fy, xp=xp)
        lights = patches_to_blocks(xp.broadcast_to(light, gradient.shape), fx, fy, xp=xp)
        flat = xp.reshape(index, (-1,))
        scatter_add(self.weight, flat, xp.reshape(lights, (-1,)))
        # Dividing each block before adding it equals dividing the sum, and touches lit pixels only.
        weight = xp.reshape(xp.take(self.weight, flat, axis=0), tuple(index.shape))
        step = numerator / ((1 - a) * weight + a * xp.max(weight))
        scatter_add(self.canvas, flat, xp.reshape(step, (-1,)))
        self.weight[flat] = 0

    def _update_probe(self, patches: Array, residual: Array) -> None:
        xp, a = self.xp, self.relaxation
        weight = xp.sum(abs2(patches, xp), axis=0)
        gradient = xp.sum(xp.conj(patches)[:, None] * residual, axis=0)
        self.probe = self.probe + gradient / ((1 - a) * weight + a * xp.max(weight))

    def fix_gauge(self) -> None:
        """Return the probe to unit power; the object takes the factor, the patterns stay."""
        power = float(self.xp.sum(abs2(self.probe, self.xp)))
        self.probe = self.probe / math.sqrt(power)
        self.canvas = self.canvas * math.sqrt(power)


def _keep_freed_memory() -> None:
    """Let the C library keep the temporaries of a step for the next one.

    glibc hands blocks back to the system, and has them zeroed anew, above a threshold that grows to
    the largest block freed so far, 32 MiB at most. Freeing one of nearly that size, never touched,
    costs nothing and halves the time of a first run; elsewhere it does nothing.
    """
    np.empty(31 * 2**20, dtype=np.uint8)


def _mean_counts(counts: Array, mask: Array | None, xp: Any) -> float:
    """Mean sum of the good pixels of a pattern, in chunks: a whole stack is never copied."""
    total = 0.0
    for start in range(0, counts.shape[0], CHUNK):
        part = xp.astype(counts[start : start + CHUNK], xp.float32)
        if mask is not None:
            part = xp.where(mask, xp.zeros_like(part), part)
        total += sum(float(v) for v in xp.sum(part, axis=(-2, -1)))
    return total / int(counts.shape[0])


def _start(
    counts: Array,
    probe: Array,
    canvas: Canvas,
    positions: NDArray[np.float64],
    initial: Array | None,
    mask: Array | None,
    relaxation: float,
    xp: Any,
) -> _Estimate:
    """Set up a run: normalised probe, flat or given object, scale of the counts."""
    photons = _mean_counts(counts, mask, xp)
    if not photons > 0:
        msg = "counts: some light expected, found zero in every pattern; is this a dark scan?"
        raise ValueError(msg)
    pixels = canvas.shape[0] * canvas.shape[1]
    start = xp.ones(pixels, dtype=xp.complex64)
    if initial is not None:
        if tuple(initial.shape) != canvas.shape:
            msg = f"initial: shape {canvas.shape} expected, found {tuple(initial.shape)}"
            raise ValueError(msg)
        start = xp.asarray(xp.reshape(initial, (-1,)), dtype=xp.complex64, copy=True)
    good = None
    if mask is not None:
        photons /= detected_fraction(probe, mask, xp=xp)
        good = xp.fft.ifftshift(xp.astype(~mask, xp.float32), axes=(-2, -1))
    return _Estimate(
        counts=counts,
        positions=canvas.local(positions),
        shape=canvas.shape,
        photons=photons,
        good=good,
        canvas=as_like(start, counts, xp),
        weight=as_like(xp.zeros(pixels, dtype=xp.float32), counts, xp),
        probe=xp.astype(normalise_probe(probe, xp=xp), xp.complex64),
        relaxation=relaxation,
        xp=xp,
    )


def _batches(n: int, size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    return np.array_split(rng.permutation(n), math.ceil(n / size))


def _check(counts: Array, positions: NDArray[np.float64], probe: Array) -> None:
    if len(counts.shape) != 3 or counts.shape[-1] != counts.shape[-2]:
        msg = f"counts: shape (n, N, N) expected, found {tuple(counts.shape)}"
        raise ValueError(msg)
    if len(probe.shape) != 3 or probe.shape[-2:] != counts.shape[-2:]:
        msg = (
            f"probe: shape (M, N, N) with the N of the counts {tuple(counts.shape)} expected, "
            f"found {tuple(probe.shape)}"
        )
        raise ValueError(msg)
    if positions.shape != (counts.shape[0], 2):
        msg = f"positions: shape ({counts.shape[0]}, 2) expected, found {positions.shape}"
        raise ValueError(msg)


def solve(
    counts: Array,
    positions: NDArray[np.float64],
    probe: Array,
    *,
    initial: Array | None = None,
    epochs: int = 10,
    batch_size: int = 16,
    relaxation: float = 0.1,
    update_probe: bool = False,
    probe_start: int = 2,
    mask: Array | None = None,
    seed: int = 0,
    callback: Callable[[int, float], None] | None = None,
    xp: Any | None = None,
) -> Solution:
    """Reconstruct the object of a scan iteratively.

    Parameters
    ----------
    counts : (n, N, N) real array
        Measured counts, zero frequency at ``[N//2, N//2]``; NumPy or PyTorch.
    positions : (n, 2) float64 NumPy array
        Patch centres ``(x, y)`` in pixels of the object grid.
    probe : (M, N, N) complex array
        Probe modes, same library as ``counts``; only their relative power matters.
    initial : (H, W) complex array, optional
        Object to start from, on ``Canvas.covering(positions, N)``. Default: one everywhere.
    epochs
        Passes over all patterns.
    batch_size
        Patterns per update. Patterns of one batch are drawn from the whole scan.
    relaxation
        ``a`` of the formula above, in (0, 1]: larger is more careful at the dim rim.
    update_probe
        Refine the probe as well, from epoch ``probe_start`` on.
    mask : (N, N) boolean array, optional
        True where a detector pixel is bad.
    seed
        Of the order of patterns.
    callback
        Called with (epoch counted from 1, its R-factor).

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        If shapes disagree, all counts are zero, or ``initial`` does not fit the canvas.
    DivergenceError
        If the residual is no longer finite.
    """
    xp = namespace(counts, probe, xp=xp)
    positions = np.asarray(positions, dtype=np.float64)
    _check(counts, positions, probe)
    canvas = Canvas.covering(positions, counts.shape[-1])
    estimate = _start(counts, probe, canvas, positions, initial, mask, relaxation, xp)
    _keep_freed_memory()
    rng = np.random.default_rng(seed)
    r_factors: list[float] = []
    for epoch in range(epochs):
        estimate.misfit = estimate.total = 0.0
        for batch in _batches(len(positions), batch_size, rng):
            estimate.step(batch, update_probe=update_probe and epoch >= probe_start)
            if not math.isfinite(estimate.misfit):
                msg = f"solver: diverged in epoch {epoch + 1}; raise relaxation or lower batch_size"
                raise DivergenceError(msg)
        if update_probe:
            estimate.fix_gauge()
        r_factors.append(estimate.misfit / estimate.total)
        if callback is not None:
            callback(epoch + 1, r_factors[-1])
    return Solution(
        object=xp.reshape(estimate.canvas, canvas.shape),
        coverage=_coverage(estimate.probe, estimate.positions, canvas, counts, xp),
        probe=estimate.probe,
        canvas=canvas,
        r_factors=r_factors,
    )


def _coverage(
    probe: Array, local: NDArray[np.float64], canvas: Canvas, like: Array, xp: Any
) -> Array:
    light = probe_intensity(probe, xp=xp)
    light = light / xp.max(light)
    total = as_like(xp.zeros(canvas.shape, dtype=light.dtype), like, xp)
    for start in range(0, len(local), CHUNK):
        where = as_like(xp.asarray(local[start : start + CHUNK]), like, xp)
        patches = xp.broadcast_to(light, (where.shape[0], *light.shape))
        total = merge_patches(patches, where, canvas.shape, onto=total, xp=xp)
    return total
