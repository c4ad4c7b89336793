"""Half-scan FRC of the commands that reconstruct: optional, after the main result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_core.half_scans import CURVE_FILE, Indices, half_scan_frc
from ptycho_core.ring_correlation import CRITERIA, describe_resolution
from ptycho_core.sparing import sparing_results
from ptycho_data import Reconstruction

__all__ = ["CURVE_FILE", "half_scan_metrics", "resolution_summary"]


def half_scan_metrics(
    positions: NDArray[np.float64],
    reconstruct: Callable[[Indices], Reconstruction],
    folder: Path,
    *,
    remove_ramp: bool = False,
    overwrite: bool = False,
) -> dict[str, Any] | None:
    """Compute the half-scan FRC and plot it; parameters as `ptycho_core.half_scans.half_scan_frc`.

    Returns
    -------
    dict or None
        None, after a warning, if it cannot be computed: the finished reconstruction must not be
        lost.
    """
    with sparing_results("no half-scan FRC"):
        result = half_scan_frc(positions, reconstruct, remove_ramp=remove_ramp)
        result.save_figure(folder / CURVE_FILE, overwrite=overwrite)
        return result.metrics
    return None


def resolution_summary(metrics: dict[str, Any] | None) -> str:
    """Return one line about the resolution."""
    if metrics is None:
        return "half-scan FRC: not available"
    texts = []
    for name, criterion in CRITERIA.items():
        resolution = describe_resolution(metrics, name)
        texts.append(f"{resolution} by {criterion}" if resolution else f"none by {criterion}")
    return f"half-scan FRC: resolution {', '.join(texts)}"
