"""Where the beam falls on a detector: its disk, or the centre of its light."""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["BeamCentre", "find_beam_centre", "in_corners"]

#: Levels, as parts of the brightest light, at which the outline of the beam is taken.
LEVELS = (0.1, 0.25, 0.5)
#: The corners must be so many times brighter than the middle for zero frequency to be there.
CORNER_TO_CENTRE = 3.0


@frozen(kw_only=True)
class BeamCentre:
    """The centre of the beam.

    Attributes
    ----------
    row, column : float
        In pixels of the frame.
    uncertainty : float
        How far the outlines at several levels, and the centre of all light, lie apart, in pixels.
    """

    row: float
    column: float
    uncertainty: float

    def distance(self, other: tuple[float, float]) -> float:
        """Return the distance from another centre (row, column), in pixels."""
        return float(np.hypot(self.row - other[0], self.column - other[1]))


def find_beam_centre(mean: NDArray[np.float64], bad: NDArray[np.bool_]) -> BeamCentre | None:
    """Find the centre of the beam in a mean pattern.

    The beam is the largest region above a part of the brightest light, without holes: the bright
    disk of a lens, the ring of a zone plate, or the peak of an unfocused beam. Bad pixels are
    filled from their neighbours, and single bright pixels are left out.

    Parameters
    ----------
    mean : (H, W)
        Mean intensity.
    bad : (H, W) bool
        Pixels without a value.

    Returns
    -------
    BeamCentre or None
        None without light.
    """
    if bad.all():
        return None
    light = smoothed(mean, bad)
    floor = float(np.median(light))
    peak = float(light.max()) - floor
    if not peak > 0:
        return None
    middles = [_disk(light - floor > level * peak, light) for level in LEVELS]
    row, column = np.median(np.array(middles), axis=0)
    above = np.maximum(light - floor, 0)
    centres = np.array([*middles, ndimage.center_of_mass(above * above)])
    apart = np.hypot(*(centres - (row, column)).T)
    return BeamCentre(
        row=float(row), column=float(column), uncertainty=max(0.5, float(apart.max()))
    )


def smoothed(mean: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill bad pixels from the nearest good ones, and remove single bright pixels."""
    filled = np.where(bad, 0.0, mean)
    if bad.any():
        nearest = ndimage.distance_transform_edt(bad, return_distances=False, return_indices=True)
        filled = filled[tuple(nearest)]
    return np.asarray(ndimage.median_filter(filled, size=3, mode="nearest"))


def _disk(above: NDArray[np.bool_], light: NDArray[np.float64]) -> tuple[float, float]:
    """Centre of the region with most light, holes filled."""
    groups, number = ndimage.label(above, np.ones((3, 3)))
    sums = ndimage.sum_labels(light, groups, np.arange(1, number + 1))
    region = ndimage.binary_fill_holes(groups == 1 + int(np.argmax(sums)))
    row, column = ndimage.center_of_mass(region)
    return float(row), float(column)


def in_corners(mean: NDArray[np.float64], bad: NDArray[np.bool_]) -> bool:
    """Tell whether zero frequency lies at ``[0, 0]``: all corners are bright, the middle is not."""
    light = np.where(bad, np.nan, mean)
    half = [extent // 2 for extent in mean.shape]
    quarter = [extent // 4 for extent in mean.shape]
    shifted = np.roll(light, half, axis=(0, 1))
    box = tuple(slice(h - q // 2, h + q // 2 + 1) for h, q in zip(half, quarter, strict=True))
    parts = []
    rows = (slice(0, quarter[0] // 2 + 1), slice(light.shape[0] - quarter[0] // 2, None))
    columns = (slice(0, quarter[1] // 2 + 1), slice(light.shape[1] - quarter[1] // 2, None))
    for row in rows:
        parts += [light[row, column] for column in columns]
    if any(np.isnan(part).all() for part in (*parts, light[box], shifted[box])):
        return False
    centre = float(np.nanmean(light[box]))
    return all(float(np.nanmean(part)) > CORNER_TO_CENTRE * centre for part in parts)
