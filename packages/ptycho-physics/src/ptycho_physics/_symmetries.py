"""The eight symmetries of a square, for images about their centre pixel and for positions."""

from typing import Any

from ptycho_physics._namespace import Array, namespace

SYMMETRIES = 8
"""Number of symmetries of a square: those that `apply_symmetry` knows as 0 to 7."""


def apply_symmetry(images: Array, symmetry: int, *, xp: Any | None = None) -> Array:
    """Mirror or transpose images about their pixel ``[N//2, N//2]``.

    Parameters
    ----------
    images : (..., N, N) array
        N even. An image is taken as periodic, as the discrete Fourier transform does.
    symmetry
        From 0 to 7. The bits act in this order: 1 mirrors x, 2 mirrors y, 4 transposes; 0 is the
        identity.

    Returns
    -------
    (..., N, N) array
    """
    xp = namespace(images, xp=xp)
    if symmetry & 1:
        images = xp.roll(xp.flip(images, axis=-1), 1, axis=-1)
    if symmetry & 2:
        images = xp.roll(xp.flip(images, axis=-2), 1, axis=-2)
    if symmetry & 4:
        images = xp.matrix_transpose(images)
    return images


def apply_symmetry_to_positions(positions: Array, symmetry: int, *, xp: Any | None = None) -> Array:
    """Move positions about the origin as `apply_symmetry` moves the pixels of an image.

    Parameters
    ----------
    positions : (..., 2) real array
        ``(x, y)`` in pixels.
    symmetry
        As in `apply_symmetry`.

    Returns
    -------
    (..., 2) real array
    """
    xp = namespace(positions, xp=xp)
    x, y = positions[..., 0], positions[..., 1]
    x, y = (-x if symmetry & 1 else x), (-y if symmetry & 2 else y)
    return xp.stack([y, x] if symmetry & 4 else [x, y], axis=-1)
