"""How much memory an object takes, and how much there is."""

import os

import numpy as np
from numpy.typing import NDArray

__all__ = ["machine_memory", "object_memory"]

BYTES_PER_PIXEL = 140
"""Sums and weights of the tiles, nine over each other, and of the canvas made of them."""


def object_memory(positions: NDArray[np.float64], N: int) -> float:
    """Return the bytes that a reconstruction of the object at ``positions`` (n, 2) takes.

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
    """Return the memory of this machine in bytes; infinite where the system does not tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return float("inf")
