"""Blocks of ``(N+1, N+1)`` canvas pixels under patches: gathered, interpolated, and added back.

A patch at a sub-pixel position needs one row and one column more than it has. Real and imaginary
part interpolate alike, so NumPy and PyTorch work on a complex block as the real one it is in
memory, and extract blocks without an index for every pixel. Other libraries use plain indexing.
"""

from typing import Any

import array_api_compat as compat
import numpy as np
from ptycho_config.errors import InvalidValueError

from ptycho_physics._namespace import (
    Array,
    as_like,
    known,
    real_dtype,
    scatter_add,
    times,
    without_gradient,
)


def corners(
    positions: Array, N: int, shape: tuple[int, int], like: Array, xp: Any
) -> tuple[Array, Array, Array, Array]:
    """Return the first row and column of each patch's block, and the patch's offset in it.

    Parameters
    ----------
    positions : (n, 2) real array
        Patch centres ``(x, y)`` in canvas pixels.
    N
        Patch size in pixels.
    shape
        Canvas shape ``(H, W)``.
    like
        The array that is interpolated: the fractions have its precision.

    Returns
    -------
    rows, columns : (n,) integer arrays
    fx, fy : (n, 1, 1) real arrays in ``[0, 1]``
        One only where the block would otherwise reach over the far edge of the canvas.

    Raises
    ------
    InvalidValueError
        If a patch leaves the canvas.
    """
    first, fraction = _corners(positions, N, shape, xp)
    fraction = xp.astype(fraction, real_dtype(like, xp))
    return first[:, 1], first[:, 0], fraction[:, 0, None, None], fraction[:, 1, None, None]


def _corners(positions: Array, N: int, shape: tuple[int, int], xp: Any) -> tuple[Array, Array]:
    """Return the first column and row of each block (n, 2), and its fractions (n, 2)."""
    if compat.is_torch_array(positions) and _at_hand(positions):
        # PyTorch needs several times as long as NumPy for so few numbers; they share the memory
        numbers = positions.numpy()
        first, fraction = _corners(numbers, N, shape, compat.array_namespace(numbers))
        return xp.from_numpy(first), xp.from_numpy(fraction)
    fixed = without_gradient(positions)
    check_inside(fixed, N, shape, xp)
    # the last place where a whole block lies on the canvas
    last = [max(size - N - 1, 0) + N // 2 for size in (shape[1], shape[0])]
    corner = xp.minimum(xp.floor(fixed), as_like(xp.asarray(last, dtype=fixed.dtype), fixed, xp))
    first = xp.astype(corner, xp.arange(1).dtype) - N // 2
    return first, positions - corner


def check_inside(positions: Array, N: int, shape: tuple[int, int], xp: Any) -> None:
    lowest, highest = xp.min(positions, axis=0), xp.max(positions, axis=0)
    for axis, (name, size) in enumerate((("x", shape[1]), ("y", shape[0]))):
        low, high = known(lowest[axis]), known(highest[axis])
        if low is None or high is None:
            return
        first, last = N // 2, size - N + N // 2
        if not (low >= first and high <= last):
            raise InvalidValueError(
                "positions",
                f"in [{first}, {last}] along {name} for patches of {N} pixels on a canvas of "
                f"{shape[1]} x {shape[0]} pixels",
                f"{low:g} .. {high:g}",
                "enlarge the canvas",
            )


def _at_hand(tensor: Array) -> bool:
    return tensor.device.type == "cpu" and not tensor.requires_grad


def block_index(rows: Array, columns: Array, N: int, shape: tuple[int, int], xp: Any) -> Array:
    """Return the indices (n * (N+1)^2,) of blocks on the flattened canvas."""
    if compat.is_torch_array(rows) and shape[0] * shape[1] < 2**31:
        rows, columns = rows.to(xp.int32), columns.to(xp.int32)  # half the memory to write
    offsets = as_like(xp.arange(N + 1, dtype=rows.dtype), rows, xp)
    down, across = rows[:, None] + offsets[None, :], columns[:, None] + offsets[None, :]
    if min(shape) <= N:
        # On a canvas no larger than a patch the last row and column lie outside, without weight.
        down, across = xp.clip(down, 0, shape[0] - 1), xp.clip(across, 0, shape[1] - 1)
    return xp.reshape(down[:, :, None] * shape[1] + across[:, None, :], (-1,))


def gather(canvas: Array, rows: Array, columns: Array, N: int, xp: Any) -> Array:
    """Cut blocks (n, N+1, N+1) out of a canvas (H, W)."""
    windows = _windows(canvas, N)
    if windows is not None:
        return windows[rows, columns]
    index = block_index(rows, columns, N, tuple(canvas.shape), xp)
    values = xp.take(xp.reshape(canvas, (-1,)), index, axis=0)
    return xp.reshape(values, (-1, N + 1, N + 1))


def _windows(canvas: Array, N: int) -> Array | None:
    """View a canvas as its blocks at every place (H-N, W-N, N+1, N+1); None if not possible."""
    if min(canvas.shape) <= N:
        return None
    if compat.is_numpy_array(canvas):
        return np.lib.stride_tricks.sliding_window_view(canvas, (N + 1, N + 1))
    # the gradient of such a view would fill one array per window
    if compat.is_torch_array(canvas) and not canvas.requires_grad:
        return canvas.unfold(0, N + 1, 1).unfold(1, N + 1, 1)
    return None


def scatter(canvas: Array, blocks: Array, rows: Array, columns: Array, xp: Any) -> Array:
    """Add blocks (n, N+1, N+1) to a canvas (H, W), in place where possible, and return it."""
    shape, N = tuple(canvas.shape), blocks.shape[-1] - 1
    # PyTorch adds complex blocks one after the other, so they may overlap
    in_turn = compat.is_torch_array(canvas) and canvas.is_complex()
    windows = _windows(canvas, N) if in_turn and _at_hand(canvas) and _at_hand(blocks) else None
    if windows is not None:
        windows.index_put_((rows, columns), blocks, accumulate=True)
        return canvas
    index = block_index(rows, columns, N, shape, xp)
    flat = scatter_add(xp.reshape(canvas, (-1,)), index, xp.reshape(blocks, (-1,)), xp)
    return xp.reshape(flat, shape)


def as_real(field: Array, xp: Any) -> tuple[Array, int]:
    """View a field (n, h, w) as a real one (n, h, 2w) where possible; also return the pixel pitch.

    Real and imaginary part of a pixel then lie next to each other, and pixels 2 apart.
    """
    if compat.is_numpy_array(field) and field.dtype.kind == "c":
        field = np.ascontiguousarray(field)
        return field.view(field.real.dtype), 2
    if compat.is_torch_array(field) and field.is_complex():
        field = field.resolve_conj().contiguous()
        if field.requires_grad:  # the faster `view` would lose the gradient
            return xp.view_as_real(field).flatten(-2), 2
        return field.view(field.real.dtype), 2
    return field, 1


def as_before(values: Array, like: Array, xp: Any) -> Array:
    """Undo `as_real`."""
    if values.dtype == like.dtype:
        return values
    if compat.is_torch_array(values) and values.requires_grad:
        return xp.view_as_complex(values.unflatten(-1, (-1, 2)))
    return values.view(like.dtype)


def _mix(first: Array, second: Array, share: Array, xp: Any) -> Array:
    """Return ``(1 - share) first + share second``, exactly either of them at 0 and 1."""
    if compat.is_torch_array(first):
        return xp.lerp(first, second, share)
    mixed = times(first, 1 - share, xp)
    mixed += times(second, share, xp)
    return mixed


def blocks_to_patches(blocks: Array, fx: Array, fy: Array, xp: Any) -> Array:
    """Interpolate blocks (n, N+1, N+1) bilinearly to patches (n, N, N)."""
    values, pitch = as_real(blocks, xp)
    rows = _mix(values[:, :-1, :], values[:, 1:, :], fy, xp)
    patches = _mix(rows[:, :, :-pitch], rows[:, :, pitch:], fx, xp)
    return as_before(patches, blocks, xp)


def patches_to_blocks(patches: Array, fx: Array, fy: Array, xp: Any) -> Array:
    """Spread patches (n, N, N) over blocks (n, N+1, N+1): the adjoint of `blocks_to_patches`."""
    values, pitch = as_real(patches, xp)
    wide = _framed(values, pitch, xp)
    rows = _mix(wide[:, :, pitch:], wide[:, :, :-pitch], fx, xp)
    return as_before(_mix(rows[:, 1:, :], rows[:, :-1, :], fy, xp), patches, xp)


def _framed(values: Array, pitch: int, xp: Any) -> Array:
    """Put a frame of zeros around images (n, h, w), one pixel wide."""
    if compat.is_torch_array(values):
        return xp.nn.functional.pad(values, (pitch, pitch, 1, 1))
    if compat.is_numpy_array(values):
        n, h, w = values.shape
        framed = np.zeros((n, h + 2, w + 2 * pitch), values.dtype)
        framed[:, 1:-1, pitch:-pitch] = values
        return framed
    beside = xp.zeros_like(values[:, :, :pitch])
    wide = xp.concat([beside, values, beside], axis=2)
    above = xp.zeros_like(wide[:, :1, :])
    return xp.concat([above, wide, above], axis=1)
