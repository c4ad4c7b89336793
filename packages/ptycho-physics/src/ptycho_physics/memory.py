"""The memory that a reconstruction needs, and that of the machine."""

import contextlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

__all__ = ["machine_memory", "object_memory", "require_memory"]

BYTES_PER_PIXEL = 140
"""Sums and weights of the tiles, nine per pixel, and of the canvas assembled from them."""

_CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Files with the memory of a Linux container, of control groups version 2 and 1."""

LONGEST = 2**31
"""Largest plausible position, in pixels; larger ones are in another unit."""


def object_memory(positions: NDArray[np.float64], N: int) -> float:
    """Return the bytes needed to reconstruct the object at ``positions``.

    Parameters
    ----------
    positions : (n, 2) float64
        Patch centres ``(x, y)`` in pixels of the object grid; at least one.
    N
        Patch size in pixels.
    """
    width, height = (np.ptp(positions, axis=0) + N).tolist()
    return float(width * height * BYTES_PER_PIXEL)


def require_memory(positions: NDArray[np.float64], N: int) -> None:
    """Refuse positions whose object does not fit into the memory of this machine.

    Parameters
    ----------
    positions : (n, 2) float64
        Patch centres ``(x, y)`` in pixels of the object grid.
    N
        Patch size in pixels.

    Raises
    ------
    InvalidValueError
        If they span too much; the message names the one that is farthest from the middle of all.
    """
    if not len(positions) or not np.isfinite(positions).all():
        return  # which is another error
    size = object_memory(positions, N)
    if size <= machine_memory() and np.abs(positions).max() <= LONGEST:
        return
    width, height = (np.ptp(positions, axis=0) + N).tolist()
    away = np.hypot(*(positions - np.median(positions, axis=0)).T)  # the norm overflows earlier
    farthest = int(np.argmax(away))
    raise InvalidValueError(
        "positions",
        "pixels of the object grid whose object fits into memory",
        f"a span of {width:.6g} x {height:.6g} pixels, {size / 2**30:.3g} GiB for the object",
        f"check their unit, and whether one of them is wrong: number {farthest} is the farthest, "
        f"{away[farthest]:.6g} pixels from their middle",
    )


def machine_memory() -> float:
    """Return the memory of this machine in bytes, or that of the container if it is less.

    Infinite where the system does not report it.
    """
    limits = [float("inf")]
    with contextlib.suppress(AttributeError, OSError, ValueError):
        limits.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    for file in _CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max", no limit
            limits.append(float(int(file.read_text("ascii"))))
    return min(limits)
