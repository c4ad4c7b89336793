"""Where the light sits in the patterns: zero frequency belongs in their centre.

Many programs write it into the corner, as a Fourier transform leaves it. Such patterns pass every
check of shapes and values and cannot be reconstructed, so it is told; nothing is ever shifted.
"""

from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Scan, release

from ptycho_cli.console import log

__all__ = ["Light", "caution_if_cornered", "corner_remark", "light_of"]

#: Patterns to look at, spread over the scan.
PATTERNS = 48
#: The darkest corner of corner-centred patterns outshines their centre by more than this. Evenly
#: lit patterns have 1; what falls off towards the rim has less.
OVER_CENTRE = 3.0
#: ... and the corners outshine what lies between. Behind a beamstop that hides the whole centre
#: they do not: light still falls off towards them.
OVER_BETWEEN = 1.2


@frozen(kw_only=True)
class Light:
    """Mean light of three regions of a pattern, relative to that of the whole pattern.

    Attributes
    ----------
    centre
        Of the central square of half the side, a quarter of the area.
    corners
        Of the four squares of a quarter of the side in the corners, a quarter of the area too.
    between
        Of the rest.
    corner_centred
        Whether this is clearly the light of patterns with zero frequency in the corner.
    """

    centre: float
    corners: float
    between: float
    corner_centred: bool


def _mean_pattern(scan: Scan) -> NDArray[np.float64]:
    """Mean intensity (N, N) of a few dozen patterns; NaN at bad pixels."""
    chosen = np.unique(np.linspace(0, scan.n - 1, min(scan.n, PATTERNS)).astype(int))
    total = np.zeros((scan.N, scan.N))
    for index in chosen:
        values = np.asarray(scan.diffraction[index], dtype=np.float64)
        total += values**2 if scan.domain == "amplitude" else values
        release(scan.diffraction)  # a page fault brings in far more than one pattern
    if scan.bad_pixels is not None:
        total[scan.bad_pixels] = np.nan
    return total / len(chosen)


def light_of(scan: Scan) -> Light | None:
    """Measure where the light sits.

    Parameters
    ----------
    scan
        The scan; a few dozen of its patterns are read.

    Returns
    -------
    Light or None
        None where there is no light, or no good pixel in one of the regions.
    """
    mean, N = _mean_pattern(scan), scan.N
    quarter = N // 4
    low, high = slice(0, quarter), slice(N - quarter, N)
    middle = slice(N // 2 - quarter, N // 2 + quarter)
    rest = np.ones((N, N), bool)
    rest[middle, middle] = False
    corners = []
    for rows, columns in ((low, low), (low, high), (high, low), (high, high)):
        corners.append(mean[rows, columns])
        rest[rows, columns] = False
    regions = [mean[middle, middle], mean[rest], *corners]
    if any(np.isnan(region).all() for region in regions) or not np.nansum(mean) > 0:
        return None
    centre, between, *each = (float(np.nanmean(region) / np.nanmean(mean)) for region in regions)
    around = float(np.mean(each))
    return Light(
        centre=centre,
        corners=around,
        between=between,
        # All four of them: a hot pixel, or a pattern beside the centre, lights one.
        corner_centred=min(each) > OVER_CENTRE * centre and around > OVER_BETWEEN * between,
    )


def corner_remark(N: int) -> str:
    """Say what corner-centred patterns of N pixels look like and how to put them right."""
    return (
        "the light sits in the corners of the patterns, but zero frequency belongs at pixel "
        f"[{N // 2}, {N // 2}]: ptycho convert IN OUT --shift-patterns, or np.fft.fftshift over "
        "the last two axes of diffraction (and bad_pixels)"
    )


def caution_if_cornered(scan: Scan, path: Path) -> None:
    """Warn, in one line, of patterns whose zero frequency seems to be in the corner."""
    light = light_of(scan)
    if light is not None and light.corner_centred:
        log.warning("%s: %s", path, corner_remark(scan.N))
