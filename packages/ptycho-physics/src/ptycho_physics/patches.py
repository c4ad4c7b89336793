"""Patches of a canvas at sub-pixel positions, and the adjoint: patches merged onto a canvas.

A position ``(x, y)`` is the canvas coordinate of patch pixel ``[N//2, N//2]``. A patch at an
integer position is a plain cut-out: it starts at canvas pixel ``[y - N//2, x - N//2]``. Between
pixels the canvas is interpolated bilinearly. Both directions work on *blocks* of ``(N+1, N+1)``
canvas pixels, so that each patch touches the canvas once.
"""

from typing import Any

from ptycho_physics._namespace import Array, as_like, namespace, scatter_add, without_gradient


def _check_inside(positions: Array, N: int, shape: tuple[int, int], xp: Any) -> None:
    positions = without_gradient(positions)
    for axis, (name, size) in enumerate((("x", shape[1]), ("y", shape[0]))):
        low, high = float(xp.min(positions[..., axis])), float(xp.max(positions[..., axis]))
        first, last = N // 2, size - N + N // 2
        if not (low >= first and high <= last):
            msg = (
                f"positions: {name} must lie in [{first}, {last}] for patches of {N} pixels on a "
                f"canvas of {shape[1]} x {shape[0]}, found {low:g} .. {high:g}; enlarge the canvas"
            )
            raise ValueError(msg)


def block_index(
    positions: Array, N: int, shape: tuple[int, int], *, xp: Any | None = None
) -> tuple[Array, Array, Array]:
    """Return where each patch's block lies on the flattened canvas, and its sub-pixel offsets.

    Parameters
    ----------
    positions : (n, 2) real array
        Patch centres ``(x, y)`` in canvas pixels.
    N
        Patch size in pixels.
    shape
        Canvas shape ``(H, W)``.

    Returns
    -------
    index : (n, N+1, N+1) integer array
    fx, fy : (n, 1, 1) real arrays in ``[0, 1)``

    Raises
    ------
    ValueError
        If a patch leaves the canvas.
    """
    xp = namespace(positions, xp=xp)
    _check_inside(positions, N, shape, xp)
    corner = xp.floor(positions)
    fraction = positions - corner
    offsets = as_like(xp.arange(N + 1, dtype=xp.int64) - N // 2, positions, xp)
    first = xp.astype(corner, xp.int64)
    # The last row and column have no weight at integer positions and may then lie outside.
    columns = xp.clip(first[:, 0, None] + offsets, 0, shape[1] - 1)
    rows = xp.clip(first[:, 1, None] + offsets, 0, shape[0] - 1)
    index = rows[:, :, None] * shape[1] + columns[:, None, :]
    return index, fraction[:, 0, None, None], fraction[:, 1, None, None]


def blocks_to_patches(blocks: Array, fx: Array, fy: Array) -> Array:
    """Interpolate blocks (n, N+1, N+1) bilinearly to patches (n, N, N)."""
    rows = blocks[:, :-1] + fy * (blocks[:, 1:] - blocks[:, :-1])
    return rows[:, :, :-1] + fx * (rows[:, :, 1:] - rows[:, :, :-1])


def patches_to_blocks(patches: Array, fx: Array, fy: Array, *, xp: Any | None = None) -> Array:
    """Spread patches (n, N, N) over blocks (n, N+1, N+1): the adjoint of `blocks_to_patches`."""
    xp = namespace(patches, xp=xp)
    n, N = patches.shape[0], patches.shape[-1]
    right = fx * patches
    column = xp.zeros_like(patches[:, :, :1])
    wide = xp.concat([patches - right, column], axis=2) + xp.concat([column, right], axis=2)
    lower = fy * wide
    row = xp.zeros_like(wide[:, :1])
    blocks = xp.concat([wide - lower, row], axis=1) + xp.concat([row, lower], axis=1)
    return xp.reshape(blocks, (n, N + 1, N + 1))


def _real_like(values: Array, like: Array, xp: Any) -> Array:
    double = like.dtype in (xp.float64, xp.complex128)
    return xp.astype(values, xp.float64 if double else xp.float32)


def extract_patches(canvas: Array, positions: Array, N: int, *, xp: Any | None = None) -> Array:
    """Cut patches out of a canvas at sub-pixel positions.

    Parameters
    ----------
    canvas : (H, W) array
        Real or complex.
    positions : (..., 2) real array
        Patch centres ``(x, y)`` in canvas pixels; same library as ``canvas``.
    N
        Patch size in pixels.

    Returns
    -------
    (..., N, N) array
        Same dtype as ``canvas``. Differentiable with respect to canvas and positions.

    Raises
    ------
    ValueError
        If a patch leaves the canvas.
    """
    xp = namespace(canvas, positions, xp=xp)
    lead = tuple(positions.shape[:-1])
    index, fx, fy = block_index(xp.reshape(positions, (-1, 2)), N, tuple(canvas.shape), xp=xp)
    flat = xp.take(xp.reshape(canvas, (-1,)), xp.reshape(index, (-1,)), axis=0)
    fx, fy = _real_like(fx, canvas, xp), _real_like(fy, canvas, xp)
    patches = blocks_to_patches(xp.reshape(flat, tuple(index.shape)), fx, fy)
    return xp.reshape(patches, (*lead, N, N))


def merge_patches(
    patches: Array,
    positions: Array,
    shape: tuple[int, int],
    *,
    onto: Array | None = None,
    xp: Any | None = None,
) -> Array:
    """Add patches up on a canvas: the exact adjoint of `extract_patches`.

    Parameters
    ----------
    patches : (..., N, N) array
        Real or complex.
    positions : (..., 2) real array
        Patch centres ``(x, y)`` in canvas pixels; same library as ``patches``.
    shape
        Canvas shape ``(H, W)``.
    onto : (H, W) array, optional
        A canvas to add to in place, contiguous and of the dtype of ``patches``: merging a long
        scan batch by batch then costs nothing for the canvas itself.

    Returns
    -------
    (H, W) array
        ``onto``, or a new canvas of the dtype of ``patches``; zero where no patch lies.
        Differentiable with respect to patches and positions.

    Raises
    ------
    ValueError
        If a patch leaves the canvas.
    """
    xp = namespace(patches, positions, xp=xp)
    N = patches.shape[-1]
    patches = xp.reshape(patches, (-1, N, N))
    index, fx, fy = block_index(xp.reshape(positions, (-1, 2)), N, shape, xp=xp)
    fx, fy = _real_like(fx, patches, xp), _real_like(fy, patches, xp)
    blocks = patches_to_blocks(patches, fx, fy, xp=xp)
    if onto is None:
        onto = as_like(xp.zeros(shape, dtype=patches.dtype), patches, xp)
    flat = xp.reshape(onto, (-1,))
    flat = scatter_add(flat, xp.reshape(index, (-1,)), xp.reshape(blocks, (-1,)))
    return xp.reshape(flat, shape)
