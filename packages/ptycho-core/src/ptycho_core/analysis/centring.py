"""Detection of patterns whose zero frequency is in the corner instead of the centre.

Many programs store patterns with zero frequency at pixel [0, 0], where a Fourier transform puts
it. Such patterns pass every check of shapes and values and cannot be reconstructed, so they are
reported. They are never shifted automatically.
"""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = [
    "RegionIntensities",
    "corner_centring_advice",
    "region_intensities",
]

#: Ratio of the weakest corner to the centre above which patterns are corner-centred. Uniform
#: patterns have a ratio of 1; patterns that decay towards the edge have less.
CORNER_TO_CENTRE = 3.0
#: The corners must also exceed the region between corners and centre by this factor. They do not
#: where a beam stop hides the whole centre, because intensity still decays towards them.
CORNER_TO_REST = 1.2


@frozen(kw_only=True)
class RegionIntensities:
    """Mean intensity of three regions of the patterns, relative to that of the whole pattern.

    Attributes
    ----------
    centre : float
        Central square of half the side, a quarter of the area.
    corners : float
        The four corner squares of a quarter of the side, together a quarter of the area.
    between : float
        The remaining pixels.
    corner_centred : bool
        Whether zero frequency is clearly in the corner.
    """

    centre: float
    corners: float
    between: float
    corner_centred: bool


def region_intensities(
    mean: NDArray[np.float64], good: NDArray[np.bool_]
) -> RegionIntensities | None:
    """Measure the intensity in the centre and in the corners of the patterns.

    Parameters
    ----------
    mean : (N, N) array
        Mean intensity of the patterns.
    good : (N, N) bool array
        Pixels to measure by; the others count in no region.

    Returns
    -------
    RegionIntensities or None
        None if all patterns are zero, or if one of the regions has no good pixel.
    """
    mean, N = np.where(good, mean, np.nan), len(mean)
    quarter = N // 4
    low, high = slice(0, quarter), slice(N - quarter, N)
    central = slice(N // 2 - quarter, N // 2 + quarter)
    is_between = np.ones((N, N), bool)
    is_between[central, central] = False
    corners = []
    for rows, columns in ((low, low), (low, high), (high, low), (high, high)):
        corners.append(mean[rows, columns])
        is_between[rows, columns] = False
    regions = [mean[central, central], mean[is_between], *corners]
    if any(np.isnan(region).all() for region in regions) or not np.nansum(mean) > 0:
        return None
    centre, between, *each = (float(np.nanmean(region) / np.nanmean(mean)) for region in regions)
    corner_mean = float(np.mean(each))
    return RegionIntensities(
        centre=centre,
        corners=corner_mean,
        between=between,
        # All four corners: a hot pixel, or an off-centre pattern, brightens only one.
        corner_centred=(
            min(each) > CORNER_TO_CENTRE * centre and corner_mean > CORNER_TO_REST * between
        ),
    )


def corner_centring_advice(N: int) -> str:
    """Describe corner-centred patterns of N pixels and how to correct them."""
    return (
        "the patterns are brightest in the corners, but zero frequency must be at pixel "
        f"[{N // 2}, {N // 2}]: use ptycho convert IN OUT --shift-patterns, or np.fft.fftshift "
        "over the last two axes of diffraction (and bad_pixels)"
    )
