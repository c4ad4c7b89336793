"""Resolution without a ground truth, from two reconstructions of half of the patterns each.

Structure of the sample appears in both halves, noise does not: their Fourier ring correlation shows
up to which spatial frequency they agree (M. van Heel and M. Schatz, J. Struct. Biol. 151, 250,
2005).
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction
from ptycho_data.figures import new_figure, save_figure
from ptycho_physics.metrics import FourierRingCorrelation, frc_of_halves, split_halves

from ptycho_core.analysis.comparison import canvas_of
from ptycho_core.analysis.ring_correlation import plot_ring_correlation, ring_metrics
from ptycho_core.outputs import CURVE_FILE
from ptycho_core.sparing import sparing_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["HalfScanFRC", "Indices", "half_scan_frc", "sparing_half_scan_frc", "write_curve"]

Indices = NDArray[np.int64]


@frozen(kw_only=True, eq=False)
class HalfScanFRC:
    """Fourier ring correlation of two half-scan reconstructions.

    Attributes
    ----------
    ring : FourierRingCorrelation
    patterns : (int, int)
        Number of patterns in each half.
    pixel_size_m : float or None
        Object pixel in metres, if known.
    """

    ring: FourierRingCorrelation
    patterns: tuple[int, int]
    pixel_size_m: float | None = None

    @property
    def metrics(self) -> dict[str, Any]:
        """Curve and resolutions as plain values for JSON."""
        metrics = ring_metrics(self.ring, self.pixel_size_m)
        return {**metrics, "patterns": list(self.patterns)}

    def plot(self) -> "Figure":
        """Draw the curve with its thresholds.

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        figure = new_figure(5.2, 5.2)
        plot_ring_correlation(
            figure.subplots(),
            self.ring,
            title="Fourier ring correlation of half scans",
            pixel_size_m=self.pixel_size_m,
        )
        return figure

    def save_figure(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the figure of `plot` to a file."""
        save_figure(self.plot(), path, overwrite=overwrite)


def half_scan_frc(
    positions: NDArray[np.float64],
    reconstruct: Callable[[Indices], Reconstruction],
    *,
    remove_ramp: bool = False,
) -> HalfScanFRC:
    """Reconstruct two halves of a scan and correlate them where both were scanned.

    Parameters
    ----------
    positions : (n, 2) array
        Positions of all patterns.
    reconstruct
        Function that reconstructs the patterns with the given indices.
    remove_ramp
        Remove a relative phase ramp, which appears if the probe was refined for each half.

    Raises
    ------
    InvalidValueError
        If there are fewer than two patterns, or the halves share too small an area.
    """
    parts = split_halves(positions)
    first, second = (reconstruct(part) for part in parts)
    ring = frc_of_halves(
        first.object,
        canvas_of(first),
        second.object,
        canvas_of(second),
        margin=first.N // 2,  # excludes what lies outside the patch centres
        remove_ramp=remove_ramp,
    )
    return HalfScanFRC(
        ring=ring, patterns=(len(parts[0]), len(parts[1])), pixel_size_m=first.pixel_size_m
    )


def sparing_half_scan_frc(
    positions: NDArray[np.float64],
    reconstruct: Callable[[Indices], Reconstruction],
    *,
    remove_ramp: bool = False,
) -> HalfScanFRC | None:
    """Correlate two halves of a scan after its reconstruction.

    Parameters
    ----------
    positions, reconstruct, remove_ramp
        As for `half_scan_frc`.

    Returns
    -------
    HalfScanFRC or None
        None, after a warning, if it cannot be computed: the finished reconstruction must not be
        lost.
    """
    with sparing_results("no half-scan FRC"):
        return half_scan_frc(positions, reconstruct, remove_ramp=remove_ramp)
    return None


def write_curve(curve: HalfScanFRC | None, folder: Path) -> None:
    """Write the picture of a curve; a failure is a warning, as the results must not be lost."""
    if curve is not None:
        with sparing_results("no picture of the half-scan FRC"):
            curve.save_figure(folder / CURVE_FILE)
