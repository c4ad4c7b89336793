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
from ptycho_physics.forward import normalise_probe, probe_intensity
from ptycho_physics.geometry import Canvas
from ptycho_physics.patches import (
    block_index,
    blocks_to_patches,
    merge_patches,
    patches_to_blocks,
)

SMALLEST_MODULUS = 1e-6
"""Predicted modulus below which a pixel's phase is taken as undefined; counts are order one."""


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
class _State:
    """The canvas and probe while they change, and the bookkeeping of one epoch."""

    canvas: Array  # (H*W,) complex
    weight: Array  # (H*W,) real scratch, zero between batches
    probe: Array  # (M, N, N)
    shape: tuple[int, int]
    misfit: float = 0.0
    total: float = 0.0


def _wave_residual(
    waves: Array, amplitude: Array, mask: Array | None, state: _State, xp: Any
) -> Array:
    """Change of the exit waves that gives their patterns the measured modulus."""
    fields = fft2(waves, xp)
    modulus = xp.sqrt(xp.sum(abs2(fields, xp), axis=-3))
    ratio = amplitude / (modulus + SMALLEST_MODULUS) - 1
    misfit = xp.abs(modulus - amplitude)
    if mask is not None:
        good = xp.astype(~mask, amplitude.dtype)
        ratio, misfit, amplitude = ratio * good, misfit * good, amplitude * good
    state.misfit += float(xp.sum(misfit))
    state.total += float(xp.sum(amplitude))
    return ifft2(fields * ratio[:, None], xp)


def _update_object(
    state: _State, residual: Array, index: Array, fx: Array, fy: Array, a: float, xp: Any
) -> None:
    light = probe_intensity(state.probe, xp=xp)
    gradient = xp.sum(xp.conj(state.probe) * residual, axis=-3)
    numerator = patches_to_blocks(gradient, fx, fy, xp=xp)
    lights = patches_to_blocks(xp.broadcast_to(light, gradient.shape), fx, fy, xp=xp)
    flat = xp.reshape(index, (-1,))
    scatter_add(state.weight, flat, xp.reshape(lights, (-1,)))
    # Dividing each block before adding it equals dividing the sum, and touches lit pixels only.
    weight = xp.reshape(xp.take(state.weight, flat, axis=0), tuple(index.shape))
    step = numerator / ((1 - a) * weight + a * xp.max(weight))
    scatter_add(state.canvas, flat, xp.reshape(step, (-1,)))
    state.weight[flat] = 0


def _update_probe(state: _State, patches: Array, residual: Array, a: float, xp: Any) -> None:
    weight = xp.sum(abs2(patches, xp), axis=0)
    gradient = xp.sum(xp.conj(patches)[:, None] * residual, axis=0)
    state.probe = state.probe + gradient / ((1 - a) * weight + a * xp.max(weight))


def _fix_gauge(state: _State, xp: Any) -> None:
    """Return the probe to unit power; the object takes the factor, the patterns stay the same."""
    power = float(xp.sum(abs2(state.probe, xp)))
    state.probe = state.probe / math.sqrt(power)
    state.canvas = state.canvas * math.sqrt(power)


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
    n, N = counts.shape[0], counts.shape[-1]
    canvas = Canvas.covering(positions, N)
    local = canvas.local(positions)
    real = xp.float32
    photons = float(xp.sum(xp.astype(counts, xp.float64))) / n
    if not photons > 0:
        msg = "counts: some light expected, found zero in every pattern; is this a dark scan?"
        raise ValueError(msg)
    corner = (-2, -1)
    probe = xp.astype(normalise_probe(probe, xp=xp), xp.complex64)
    pixels = canvas.shape[0] * canvas.shape[1]
    flat = xp.ones(pixels, dtype=xp.complex64)
    if initial is not None:
        if tuple(initial.shape) != canvas.shape:
            msg = f"initial: shape {canvas.shape} expected, found {tuple(initial.shape)}"
            raise ValueError(msg)
        flat = xp.asarray(xp.reshape(initial, (-1,)), dtype=xp.complex64, copy=True)
    state = _State(
        canvas=as_like(flat, counts, xp),
        weight=as_like(xp.zeros(pixels, dtype=real), counts, xp),
        probe=probe,
        shape=canvas.shape,
    )
    if mask is not None:
        mask = xp.fft.ifftshift(mask, axes=corner)
    rng = np.random.default_rng(seed)
    r_factors: list[float] = []
    for epoch in range(epochs):
        state.misfit = state.total = 0.0
        for batch in _batches(n, batch_size, rng):
            chosen = as_like(xp.asarray(batch), counts, xp)
            where = as_like(xp.asarray(local[batch]), counts, xp)
            measured = xp.astype(xp.take(counts, chosen, axis=0), real) / photons
            amplitude = xp.fft.ifftshift(xp.sqrt(measured), axes=corner)
            index, fx, fy = block_index(where, N, canvas.shape, xp=xp)
            fx, fy = xp.astype(fx, real), xp.astype(fy, real)
            blocks = xp.take(state.canvas, xp.reshape(index, (-1,)), axis=0)
            patches = blocks_to_patches(xp.reshape(blocks, tuple(index.shape)), fx, fy)
            waves = patches[:, None] * state.probe
            residual = _wave_residual(waves, amplitude, mask, state, xp)
            if not math.isfinite(state.misfit):
                msg = f"solver: diverged in epoch {epoch + 1}; raise relaxation or lower batch_size"
                raise DivergenceError(msg)
            _update_object(state, residual, index, fx, fy, relaxation, xp)
            if update_probe and epoch >= probe_start:
                _update_probe(state, patches, residual, relaxation, xp)
        if update_probe:
            _fix_gauge(state, xp)
        r_factors.append(state.misfit / state.total)
        if callback is not None:
            callback(epoch + 1, r_factors[-1])
    return Solution(
        object=xp.reshape(state.canvas, canvas.shape),
        coverage=_coverage(state.probe, local, canvas, counts, xp),
        probe=state.probe,
        canvas=canvas,
        r_factors=r_factors,
    )


def _coverage(
    probe: Array, local: NDArray[np.float64], canvas: Canvas, like: Array, xp: Any
) -> Array:
    light = probe_intensity(probe, xp=xp)
    light = light / xp.max(light)
    total = as_like(xp.zeros(canvas.shape, dtype=light.dtype), like, xp)
    for start in range(0, len(local), 1024):
        where = as_like(xp.asarray(local[start : start + 1024]), like, xp)
        patches = xp.broadcast_to(light, (where.shape[0], *light.shape))
        total = merge_patches(patches, where, canvas.shape, onto=total, xp=xp)
    return total
