"""The steps between patches and likelihood as autograd functions with hand-written gradients.

PyTorch could differentiate `ptycho_physics` by itself, and does where nothing here is used. But it
then keeps every intermediate array of a batch and fills zeros around each slice, which the adjoints
of `ptycho_physics` do not.
"""

from typing import Any

import torch
from ptycho_physics import expected_counts, likelihood_gradient, poisson_deviance
from ptycho_physics import extract_patches as _extract
from ptycho_physics import merge_patches as _merge
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Extract(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, canvas: Tensor, positions: Tensor, N: int) -> Tensor:
        ctx.save_for_backward(positions)
        ctx.shape = tuple(canvas.shape)
        return _extract(canvas.detach(), positions, N)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (positions,) = ctx.saved_tensors
        return _merge(gradient, positions, ctx.shape), None, None


class _Merge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, patches: Tensor, positions: Tensor, shape: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(positions)
        ctx.patch = tuple(patches.shape)
        return _merge(patches.detach(), positions, shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (positions,) = ctx.saved_tensors
        return _extract(gradient, positions, ctx.patch[-1]).reshape(ctx.patch), None, None


class _Deviance(torch.autograd.Function):
    """The gradient is made with the value, while the far field is at hand."""

    @staticmethod
    def forward(
        ctx: Any,
        patches: Tensor,
        probe: Tensor,
        log_scale: Tensor,
        counts: Tensor,
        photons: Tensor,
        mask: Tensor | None,
        background: float,
    ) -> Tensor:
        found = likelihood_gradient(
            patches.detach(),
            probe.detach(),
            counts,
            torch.exp(2 * log_scale.detach()) * photons,
            mask,
            background=background,
            deviance=True,
        )
        ctx.save_for_backward(found.object, found.log_photons)
        return found.loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        on_patches, by_log_photons = ctx.saved_tensors
        patches = on_patches * gradient[..., None, None]
        return patches, None, 2 * (gradient * by_log_photons).sum(), None, None, None, None


def extract_patches(canvas: Tensor, positions: Tensor, N: int) -> Tensor:
    """`ptycho_physics.extract_patches`, its gradient on the canvas being `merge_patches`."""
    if positions.requires_grad:
        return _extract(canvas, positions, N)
    return _Extract.apply(canvas, positions, N)


def merge_patches(
    patches: Tensor, positions: Tensor, shape: tuple[int, int], *, onto: Tensor | None = None
) -> Tensor:
    """`ptycho_physics.merge_patches`, its gradient on the patches being `extract_patches`."""
    if positions.requires_grad or onto is not None:
        return _merge(patches, positions, shape, onto=onto)
    return _Merge.apply(patches, positions, shape)


def patches_deviance(
    patches: Tensor,
    probe: Tensor,
    counts: Tensor,
    photons: Tensor,
    log_scale: Tensor,
    mask: Tensor | None = None,
    *,
    background: float = 0.0,
) -> Tensor:
    """Return the Poisson deviance (...) of what patches (..., N, N) predict.

    Equal to ``poisson_deviance(expected_counts(patches, probe, exp(2 log_scale) photons) +
    background, counts + background, mask)`` with gradients on patches and ``log_scale``. A probe
    that is trained takes this longer way, because its gradient mixes patterns.

    Parameters
    ----------
    patches : (..., N, N) complex64
        Object patches.
    probe : (M, N, N) complex64
        Probe modes at unit power.
    counts : (..., N, N) float32
        Measured counts.
    photons
        Counts behind an object of unit amplitude, broadcasting against ``counts``.
    log_scale : ()
        Logarithm of a factor on the predicted amplitude.
    mask : (N, N) bool, optional
        True where a pixel is bad.
    background
        Counts per pixel added to expected and measured counts.
    """
    if probe.requires_grad:
        rate = expected_counts(patches, probe, torch.exp(2 * log_scale) * photons)
        return poisson_deviance(rate + background, counts + background, mask)
    return _Deviance.apply(patches, probe, log_scale, counts, photons, mask, background)
