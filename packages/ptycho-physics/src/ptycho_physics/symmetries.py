"""The eight symmetries of a square, for images about their centre pixel and for positions."""

from typing import Any

from ptycho_physics._namespace import namespace

Array = Any

ORIENTATIONS = 8
"""Ways to turn or mirror a square. Number 0 changes nothing; 1 mirrors x, 2 mirrors y, 4 exchanges
the two after that, and sums do several of these."""


def turned(images: Array, orientation: int, *, xp: Any | None = None) -> Array:
    """Turn or mirror images about their pixel ``[N//2, N//2]``.

    Parameters
    ----------
    images : (..., N, N) array
        N even. Mirroring takes an image as periodic, like the discrete Fourier transform.
    orientation
        From 0 to `ORIENTATIONS` - 1.
    """
    xp = namespace(images, xp=xp)
    if orientation & 1:
        images = xp.roll(xp.flip(images, axis=-1), 1, axis=-1)
    if orientation & 2:
        images = xp.roll(xp.flip(images, axis=-2), 1, axis=-2)
    if orientation & 4:
        images = xp.matrix_transpose(images)
    return images


def turned_positions(positions: Array, orientation: int, *, xp: Any | None = None) -> Array:
    """Turn positions ``(x, y)`` (..., 2) about the origin in the way of `turned`."""
    xp = namespace(positions, xp=xp)
    x, y = positions[..., 0], positions[..., 1]
    x, y = (-x if orientation & 1 else x), (-y if orientation & 2 else y)
    return xp.stack([y, x] if orientation & 4 else [x, y], axis=-1)
