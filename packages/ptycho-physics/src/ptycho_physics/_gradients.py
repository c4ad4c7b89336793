r"""The Poisson likelihood of a batch and its gradient in one pass, by the adjoint of each step.

With :math:`\Psi_m = F P_m O`, expected counts :math:`r = s \sum_m |\Psi_m|^2 + b`, measured ones
:math:`n` and :math:`g = 1 - (n + b) / r`,

.. math:: \nabla_O = \sum_m P_m^* F^{-1} 2 s g \Psi_m, \quad
          \nabla_{P_m} = \sum O^* F^{-1} 2 s g \Psi_m

(P. Thibault and M. Guizar-Sicairos, *New J. Phys.* 14, 063004, 2012). Gradients of a complex array
are :math:`\partial/\partial re + i\, \partial/\partial im`, as in PyTorch. Nothing is shifted,
because the probe carries the factor that centres the pattern. The cost is that of an FFT, its
inverse and a few passes over the batch.
"""

import math
from functools import cache
from typing import Any

import array_api_compat as compat
import numpy as np
from attrs import frozen

from ptycho_physics._blocks import blocks_to_patches, corners, gather, patches_to_blocks, scatter
from ptycho_physics._forward import centring
from ptycho_physics._namespace import (
    Array,
    abs2,
    fft2,
    ifft2,
    namespace,
    quick_norms,
    times,
)
from ptycho_physics.losses import SMALLEST_RATE

PIXELS_AT_ONCE = 2**18
"""Pixels of the patterns processed at a time, so that each step finds the output of the one before
in the cache."""


@frozen(kw_only=True, eq=False)
class Gradient:
    """A likelihood and its gradients.

    Attributes
    ----------
    loss : (...) real array
        Negative log-likelihood of each pattern, or deviance.
    object : complex array
        Gradient of the summed loss on the patches, or on the canvas: the shape of either.
    probe : (M, N, N) complex array, or None
        Gradient on the probe modes, if ``update_probe`` was set.
    """

    loss: Array
    object: Array
    probe: Array | None


def likelihood_gradient(
    patches: Array,
    probe: Array,
    counts: Array,
    photons: Array | float,
    mask: Array | None = None,
    *,
    background: float = 0.0,
    deviance: bool = False,
    update_probe: bool = False,
    xp: Any | None = None,
) -> Gradient:
    """Return the likelihood of the counts that patches predict, and its gradient on the patches.

    The loss is ``poisson_nll(expected_counts(patches, probe, photons) + background, counts +
    background, mask)``.

    Parameters
    ----------
    patches : (..., N, N) complex array
        Object patches.
    probe : (M, N, N) complex array
        Probe modes at unit power.
    counts : (..., N, N) real array
        Measured counts.
    photons
        Counts of a pattern behind an object of unit amplitude: a number, or a real array that
        broadcasts against (..., N, N).
    mask : (N, N) boolean array, optional
        True where a pixel is bad; it contributes nothing.
    background
        Counts per pixel added to expected and measured counts; bounds the gradient where no light
        is predicted.
    deviance
        Return `poisson_deviance` and its gradient instead.
    update_probe
        Return the gradient on the probe as well.

    Returns
    -------
    Gradient
    """
    xp = namespace(patches, probe, counts, xp=xp)
    # A number is multiplied into the probe, not into the whole batch.
    number = isinstance(photons, int | float)
    norm, adjoint_norm, root = quick_norms(probe)
    if number:
        root *= math.sqrt(photons)
    centred = probe * (centring(probe, xp) * root)
    # Arrays are overwritten where possible: a pass over memory costs as much as arithmetic.
    field = fft2(xp.expand_dims(patches, axis=-3) * centred, xp, norm)
    rate = _over_modes(abs2(field, xp), xp)
    if not number:
        rate *= photons
    loss, excess = misfit(rate, counts, mask, background, deviance, xp)
    weight = -2 if deviance else -1
    if not number:
        excess *= photons
    field = ifft2(_scaled(field, xp.expand_dims(excess, axis=-3), xp), xp, adjoint_norm)
    on_probe = None
    if update_probe:
        on_probe = _probe_gradient(patches, field, probe, xp) * (2 * weight * root)
    field *= xp.conj(centred) * (2 * weight)
    return Gradient(loss=loss, object=_over_modes(field, xp), probe=on_probe)


def _over_modes(values: Array, xp: Any) -> Array:
    return values[..., 0, :, :] if values.shape[-3] == 1 else xp.sum(values, axis=-3)


def _scaled(field: Array, factor: Array, xp: Any) -> Array:
    """Multiply a complex field by a real factor, in place where possible."""
    if compat.is_numpy_array(field) or compat.is_torch_array(field):
        field *= factor
        return field
    return times(field, factor, xp)


def misfit(
    rate: Array, counts: Array, mask: Array | None, background: float, deviance: bool, xp: Any
) -> tuple[Array, Array]:
    """Return the loss of each pattern, and ``counts / rate - 1``: minus the slope of the NLL."""
    if background:
        counts = counts + background
        rate = rate + background
    positive = rate + SMALLEST_RATE
    excess = counts / positive
    if deviance:
        values = xp.log((counts + SMALLEST_RATE) / positive)
        values *= counts
        values += rate
        values -= counts
        values *= 2
    else:
        values = xp.log(positive)
        values *= counts
        values -= rate
    excess -= 1
    if mask is not None:
        values = xp.where(mask, xp.zeros_like(values), values)
        excess = xp.where(mask, xp.zeros_like(excess), excess)
    loss = xp.sum(values, axis=(-2, -1))
    return (loss if deviance else -loss), excess


def _probe_gradient(patches: Array, change: Array, probe: Array, xp: Any) -> Array:
    M, N = probe.shape[-3], probe.shape[-1]
    waves = xp.conj(xp.reshape(patches, (-1, 1, N, N))) * xp.reshape(change, (-1, M, N, N))
    return xp.sum(waves, axis=0) * xp.conj(centring(probe, xp))


def canvas_gradient(
    canvas: Array,
    positions: Array,
    probe: Array,
    counts: Array,
    photons: float,
    mask: Array | None = None,
    *,
    background: float = 0.0,
    deviance: bool = False,
    update_probe: bool = False,
    xp: Any | None = None,
) -> Gradient:
    """Return the likelihood of the counts that a canvas predicts, and its gradient on the canvas.

    The patterns are processed in pieces that fit in the processor's cache; memory does not grow
    with their number.

    Parameters
    ----------
    canvas : (H, W) complex array
        The object.
    positions : (n, 2) real array
        Patch centres ``(x, y)`` in canvas pixels.
    probe, counts, photons, mask, background, deviance, update_probe
        As in `likelihood_gradient`; ``counts`` of shape (n, N, N) and ``photons`` a number.

    Returns
    -------
    Gradient
        With ``object`` of shape (H, W) and ``loss`` of shape (n,).

    Raises
    ------
    ValueError
        If a patch leaves the canvas.
    """
    xp = namespace(canvas, probe, counts, xp=xp)
    raise_mmap_threshold()
    n, N, shape = counts.shape[0], counts.shape[-1], tuple(canvas.shape)
    total, on_probe, losses = xp.zeros_like(canvas), None, []
    size = max(PIXELS_AT_ONCE // N**2, 1)
    for start in range(0, n, size):
        stop = min(start + size, n)
        rows, columns, fx, fy = corners(positions[start:stop, :], N, shape, canvas, xp)
        piece = likelihood_gradient(
            blocks_to_patches(gather(canvas, rows, columns, N, xp), fx, fy, xp),
            probe,
            counts[start:stop, :, :],
            photons,
            mask,
            background=background,
            deviance=deviance,
            update_probe=update_probe,
            xp=xp,
        )
        total = scatter(total, patches_to_blocks(piece.object, fx, fy, xp), rows, columns, xp)
        if update_probe:
            on_probe = piece.probe if on_probe is None else on_probe + piece.probe
        losses.append(piece.loss)
    loss = xp.concat(losses, axis=0)
    return Gradient(loss=loss, object=total, probe=on_probe)


@cache
def raise_mmap_threshold() -> None:
    """Let glibc reuse the memory of one step's temporaries in the next.

    glibc returns freed blocks to the system above a threshold that grows with the largest block
    freed so far, up to 32 MiB; the system then zeroes them again. Freeing an untouched block of
    almost that size costs nothing and halves the time of a first run. With other C libraries it
    has no effect.
    """
    np.empty(31 * 2**20, dtype=np.uint8)
