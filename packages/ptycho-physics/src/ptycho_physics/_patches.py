"""Extraction of patches at sub-pixel positions, and its adjoint, merging patches on a canvas.

A position ``(x, y)`` is the canvas coordinate of patch pixel ``[N//2, N//2]``. A patch at an
integer position is a slice of the canvas that starts at pixel ``[y - N//2, x - N//2]``. Between
pixels the canvas is interpolated bilinearly or, for detail close to the pixel size, by Fourier
series.
"""

from typing import Any

from ptycho_physics import _fourier
from ptycho_physics._blocks import (
    blocks_to_patches,
    corners,
    gather,
    patches_to_blocks,
    scatter,
)
from ptycho_physics._namespace import Array, as_like, namespace
from ptycho_physics._translation import Interpolation, check_interpolation


def extract_patches(
    canvas: Array,
    positions: Array,
    N: int,
    *,
    interpolation: Interpolation = "bilinear",
    xp: Any | None = None,
) -> Array:
    """Extract patches of a canvas at sub-pixel positions.

    Parameters
    ----------
    canvas : (H, W) array
        Real or complex.
    positions : (..., 2) real array
        Patch centres ``(x, y)`` in canvas pixels; same library as ``canvas``.
    N
        Patch size in pixels.
    interpolation : {"bilinear", "fourier"}
        Interpolation between pixels. Fourier costs an FFT and its inverse per patch.

    Returns
    -------
    (..., N, N) array
        Same dtype as ``canvas``. Differentiable with respect to canvas and positions.

    Raises
    ------
    ValueError
        If a patch leaves the canvas, or the interpolation is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> canvas = np.arange(25.0).reshape(5, 5)
    >>> extract_patches(canvas, np.array([[2.0, 1.0], [2.5, 1.0]]), N=2)
    array([[[1. , 2. ],
            [6. , 7. ]],
    <BLANKLINE>
           [[1.5, 2.5],
            [6.5, 7.5]]])
    """
    xp = namespace(canvas, positions, xp=xp)
    lead = tuple(positions.shape[:-1])
    where = xp.reshape(positions, (-1, 2))
    check_interpolation(interpolation)
    if interpolation == "fourier":
        return xp.reshape(_fourier.extract(canvas, where, N, xp=xp), (*lead, N, N))
    rows, columns, fx, fy = corners(where, N, tuple(canvas.shape), canvas, xp)
    patches = blocks_to_patches(gather(canvas, rows, columns, N, xp), fx, fy, xp)
    return xp.reshape(patches, (*lead, N, N))


def merge_patches(
    patches: Array,
    positions: Array,
    shape: tuple[int, int],
    *,
    onto: Array | None = None,
    interpolation: Interpolation = "bilinear",
    xp: Any | None = None,
) -> Array:
    """Sum patches on a canvas: the exact adjoint of `extract_patches`.

    Parameters
    ----------
    patches : (..., N, N) array
        Real or complex.
    positions : (..., 2) real array
        Patch centres ``(x, y)`` in canvas pixels; same library as ``patches``.
    shape
        Canvas shape ``(H, W)``.
    onto : (H, W) array, optional
        A canvas to add to, contiguous and of the dtype of ``patches``. NumPy, CuPy and PyTorch
        write into it, so a long scan can be merged batch by batch without copies of the canvas.
    interpolation : {"bilinear", "fourier"}
        As in `extract_patches`.

    Returns
    -------
    (H, W) array
        ``onto``, or a new canvas of the dtype of ``patches``; zero where there is no patch.
        Differentiable with respect to patches and positions.

    Raises
    ------
    ValueError
        If a patch leaves the canvas, or the interpolation is unknown.
    """
    xp = namespace(patches, positions, xp=xp)
    N = patches.shape[-1]
    patches = xp.reshape(patches, (-1, N, N))
    where = xp.reshape(positions, (-1, 2))
    check_interpolation(interpolation)
    if onto is None:
        onto = as_like(xp.zeros(shape, dtype=patches.dtype), patches, xp)
    if interpolation == "fourier":
        return _fourier.merge(patches, where, onto, xp=xp)
    rows, columns, fx, fy = corners(where, N, shape, patches, xp)
    return scatter(onto, patches_to_blocks(patches, fx, fy, xp), rows, columns, xp)
