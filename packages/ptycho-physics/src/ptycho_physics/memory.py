"""The memory that a reconstruction needs, and that of the machine."""

import os

import numpy as np
from numpy.typing import NDArray

__all__ = ["machine_memory", "object_memory"]

BYTES_PER_PIXEL = 140
"""Sums and weights of the tiles, nine per pixel, and of the canvas assembled from them."""


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


def machine_memory() -> float:
    """Return the memory of this machine in bytes; infinite where the system does not report it."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return float("inf")
