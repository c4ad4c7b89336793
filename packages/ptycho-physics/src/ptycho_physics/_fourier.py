"""Fourier interpolation in `extract_patches` and `merge_patches`.

A patch is extracted around the nearest whole pixel with a margin, shifted by the remaining fraction
of a pixel, and trimmed. The margin separates the patch from what wraps around from the opposite
side. Beyond the rim of the canvas its outermost pixels are repeated.
"""

from typing import Any

from ptycho_physics._blocks import check_inside
from ptycho_physics._namespace import Array, as_like, namespace, scatter_add, without_gradient
from ptycho_physics._translation import translate

MARGIN = 8
"""Pixels around a patch that take part in its interpolation."""


def _nearest(positions: Array, N: int, shape: tuple[int, int], xp: Any) -> tuple[Array, Array]:
    """Return the index of all pixels of the blocks (n, N + 2 MARGIN)^2, and the remaining shift."""
    fixed = without_gradient(positions)
    check_inside(fixed, N, shape, xp)
    nearest = xp.floor(fixed + 0.5)
    offsets = as_like(xp.arange(N + 2 * MARGIN) - (N // 2 + MARGIN), fixed, xp)
    centre = xp.astype(nearest, offsets.dtype)
    rows = xp.clip(centre[:, 1, None] + offsets[None, :], 0, shape[0] - 1)
    columns = xp.clip(centre[:, 0, None] + offsets[None, :], 0, shape[1] - 1)
    index = rows[:, :, None] * shape[1] + columns[:, None, :]
    return xp.reshape(index, (-1,)), positions - nearest


def extract(canvas: Array, positions: Array, N: int, *, xp: Any | None = None) -> Array:
    """Extract patches (n, N, N) from a canvas (H, W) at positions (n, 2)."""
    xp = namespace(canvas, positions, xp=xp)
    index, rest = _nearest(positions, N, tuple(canvas.shape), xp)
    size = N + 2 * MARGIN
    blocks = xp.reshape(xp.take(xp.reshape(canvas, (-1,)), index, axis=0), (-1, size, size))
    moved = translate(blocks, -rest, interpolation="fourier", xp=xp)
    return moved[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


def merge(patches: Array, positions: Array, onto: Array, *, xp: Any | None = None) -> Array:
    """Add patches (n, N, N) to a canvas (H, W), in place where possible: adjoint of `extract`."""
    xp = namespace(patches, positions, xp=xp)
    shape = tuple(onto.shape)
    index, rest = _nearest(positions, patches.shape[-1], shape, xp)
    above, blocks = xp.zeros_like(patches[:, :1, :]), patches
    blocks = xp.concat([*[above] * MARGIN, blocks, *[above] * MARGIN], axis=1)
    beside = xp.zeros_like(blocks[:, :, :1])
    blocks = xp.concat([*[beside] * MARGIN, blocks, *[beside] * MARGIN], axis=2)
    moved = translate(blocks, rest, interpolation="fourier", xp=xp)
    flat = scatter_add(xp.reshape(onto, (-1,)), index, xp.reshape(moved, (-1,)), xp)
    return xp.reshape(flat, shape)
