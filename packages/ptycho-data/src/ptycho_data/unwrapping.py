"""Phase without jumps of 2 pi, for pictures of thick samples."""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.install import require_package

__all__ = ["require_unwrapping", "unwrapped"]


def require_unwrapping() -> None:
    """Check that scikit-image is installed, without importing it.

    Raises
    ------
    MissingPackageError
        It is not; the message has the pip command.
    """
    extra = "ptycho-data[unwrap]"
    require_package("skimage", "unwrapped phases", extra, package="scikit-image")


def unwrapped(phase: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Add multiples of 2 pi to a phase so that neighbours differ by less than pi where they can.

    Pixels whose surroundings are smooth are joined first, so that noise at the rim of a scan
    spoils only itself: Herraez et al., Applied Optics 41, 7437 (2002), by scikit-image. Parts of
    the mask that do not touch have no common level, and the phase of a vortex keeps a cut.

    Parameters
    ----------
    phase : (H, W) float array
        Radians.
    mask : (H, W) bool array
        Pixels that count; the others are returned as they are.

    Returns
    -------
    (H, W) float array

    Raises
    ------
    MissingPackageError
        scikit-image is not installed.
    """
    require_unwrapping()
    if not mask.any():
        return phase
    restoration = import_module("skimage.restoration")  # late: few pictures ask for it
    found = restoration.unwrap_phase(np.ma.masked_array(phase, ~mask))
    return np.where(mask, np.ma.getdata(found), phase)
