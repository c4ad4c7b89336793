"""Three orders of one group of images, or of its positions.

=========== =============================== =====================
layout      images                          positions
=========== =============================== =====================
group       (B, C, N, N), channels first    (B, C, 1, 2)
flat        (B * C, N, N)                   (B * C, 1, 2)
channels    (B, N, N, C), channels last     (B, 1, 2, C)
=========== =============================== =====================

PyTorch works on groups, TensorFlow on channels, the physics on anything that ends in (N, N).
Channel ``c`` of a group is pattern ``c``; flat counts channels fastest. The pair of a position is
``(x, y)`` everywhere.
"""

from typing import Any

from ptycho_physics._namespace import Array, namespace


def _check_axes(array: Array, number: int, layout: str) -> None:
    if len(array.shape) != number:
        msg = f"{layout}: {number} axes expected, found shape {tuple(array.shape)}"
        raise ValueError(msg)


def group_to_flat(group: Array, *, xp: Any | None = None) -> Array:
    """Return (B, C, h, w) as (B * C, h, w).

    Raises
    ------
    ValueError
        If there are not four axes.
    """
    xp = namespace(group, xp=xp)
    _check_axes(group, 4, "group")
    return xp.reshape(group, (-1, *group.shape[2:]))


def flat_to_group(flat: Array, channels: int, *, xp: Any | None = None) -> Array:
    """Return (B * C, h, w) as (B, C, h, w), for C ``channels``.

    Raises
    ------
    ValueError
        If there are not three axes, or their first does not divide into groups.
    """
    xp = namespace(flat, xp=xp)
    _check_axes(flat, 3, "flat")
    n = flat.shape[0]
    if channels < 1 or (n is not None and n % channels):
        msg = f"flat: a multiple of {channels} images expected, found {n}"
        raise ValueError(msg)
    return xp.reshape(flat, (-1, channels, *flat.shape[1:]))


def group_to_channels(group: Array, *, xp: Any | None = None) -> Array:
    """Return (B, C, h, w) as (B, h, w, C).

    Raises
    ------
    ValueError
        If there are not four axes.
    """
    xp = namespace(group, xp=xp)
    _check_axes(group, 4, "group")
    return xp.permute_dims(group, (0, 2, 3, 1))


def channels_to_group(channels: Array, *, xp: Any | None = None) -> Array:
    """Return (B, h, w, C) as (B, C, h, w).

    Raises
    ------
    ValueError
        If there are not four axes.
    """
    xp = namespace(channels, xp=xp)
    _check_axes(channels, 4, "channels")
    return xp.permute_dims(channels, (0, 3, 1, 2))
