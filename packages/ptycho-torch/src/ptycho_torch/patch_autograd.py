"""Extraction and merging of patches as autograd functions: each is the adjoint of the other.

PyTorch can differentiate `ptycho_physics` by itself, and does elsewhere. But it then keeps every
intermediate array of a batch and pads each slice with zeros, which the adjoints of `ptycho_physics`
avoid.
"""

from typing import Any

import torch
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


def extract_patches(canvas: Tensor, positions: Tensor, N: int) -> Tensor:
    """`ptycho_physics.extract_patches`; its adjoint on the canvas is `merge_patches`."""
    if positions.requires_grad:
        return _extract(canvas, positions, N)
    return _Extract.apply(canvas, positions, N)


def merge_patches(
    patches: Tensor, positions: Tensor, shape: tuple[int, int], *, onto: Tensor | None = None
) -> Tensor:
    """`ptycho_physics.merge_patches`; its adjoint on the patches is `extract_patches`."""
    if positions.requires_grad or onto is not None:
        return _merge(patches, positions, shape, onto=onto)
    return _Merge.apply(patches, positions, shape)
