"""Which pixels of a detector cannot have measured light: pure functions on a few patterns.

None of them needs the units of the values: they compare pixels with their neighbours and patterns
with each other. `scipy.ndimage` is imported where it is used: a quarter of a second that a command
does not wait for before it has read its arguments.
"""

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["DeadPixels", "dead_pixels", "hot_pixels", "stuck_pixels"]

Pixels = NDArray[np.bool_]
Pattern = NDArray[np.float64]

#: A pixel must be this many times brighter than those around it to be doubted.
BRIGHTER = 20.0
#: Light this many times that of the empty beam is not explained by it.
UNEXPLAINED = 5.0
#: A stuck pixel repeats its value in more than half of at least so many patterns.
FEWEST_PATTERNS = 8
#: A hot pixel with a smaller part of the light does no harm.
HARMFUL_SHARE = 1e-4
#: Neighbours of hot pixels may be hot: the outer ones of a cluster are found first.
HOT_PASSES = 3
#: Doubt a dark pixel if light like that of its neighbours is missing with a chance below exp(-25).
UNLIKELY = 25.0
#: Without an empty-beam pattern only so few pixels are called dead, and only if the pixels opposite
#: to them are lit: more may be a shadow, and nulls of diffraction are mostly symmetric.
SMALL_CLUSTER = 4
#: Of the light around a shadow, the empty beam has less than this part inside.
SHADOW = 0.1
_SQUARE = np.ones((3, 3), bool)


def stuck_pixels(raw: NDArray[Any], mean: Pattern, good: Pixels) -> Pixels:
    """Find pixels that repeat one value far above those around them, in most patterns.

    Light repeats a large count by chance only; the largest value of an integer type, which
    detectors write for "no value", is repeated always. A saturated region is no such pixel: light
    as bright surrounds it.

    Parameters
    ----------
    raw : (k, N, N) array
        Patterns as they are stored.
    mean : (N, N) array
        Mean intensity.
    good : (N, N) bool array

    Returns
    -------
    (N, N) bool array
    """
    k = len(raw)
    if k < FEWEST_PATTERNS:
        return np.zeros_like(good)
    median = np.partition(raw, k // 2, axis=0)[k // 2]
    repeats = np.count_nonzero(raw == median, axis=0)
    stuck: Pixels = good & (median > 0) & (repeats > k // 2)
    if not stuck.any():
        return stuck
    from scipy import ndimage

    groups, number = ndimage.label(stuck, _SQUARE)
    around = _ring_medians(mean, groups, number, good)
    largest = ndimage.maximum(mean, groups, np.arange(1, number + 1))
    outshines = np.asarray(largest) > BRIGHTER * around
    return np.asarray(np.concatenate([[False], outshines])[groups])


def hot_pixels(middle: Pattern, mean: Pattern, good: Pixels, empty_beam: Pattern | None) -> Pixels:
    """Find pixels that are far brighter than those around them in most patterns.

    Parameters
    ----------
    middle : (N, N) array
        Median intensity of each pixel over the patterns, which a single bright pattern cannot
        raise.
    mean : (N, N) array
        Mean intensity.
    good : (N, N) bool array
    empty_beam : (N, N) array, optional
        Far field of the probe, scaled to the sum of ``mean``: a pixel that it explains is not hot.
        Without it, the pixels around the centre are not judged, where a wide probe has its peak.

    Returns
    -------
    (N, N) bool array
    """
    N = len(mean)
    hot = np.zeros_like(good)
    if empty_beam is None:
        unexplained = np.ones_like(good)
        unexplained[N // 2 - 2 : N // 2 + 3, N // 2 - 2 : N // 2 + 3] = False
    else:
        unexplained = middle > UNEXPLAINED * empty_beam
    for _ in range(HOT_PASSES):
        left = good & ~hot
        around = _neighbour_medians(mean, left)
        floor = HARMFUL_SHARE * float(mean[left].sum())
        found = left & unexplained & (middle > BRIGHTER * around) & (middle > floor)
        if not found.any():
            break
        hot |= found
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes(hot)) & good


def _neighbour_medians(image: Pattern, good: Pixels) -> Pattern:
    """Median of the eight neighbours of each pixel, of the good ones alone; NaN without any.

    The upper one of eight, because a corner of a lit region has four lit neighbours; the lower one
    of fewer, so that a cluster of hot pixels is found from its corners.
    """
    padded = np.pad(np.where(good, image, np.nan), 1, constant_values=np.nan)
    height, width = image.shape
    shifted = np.stack(
        [
            padded[y : y + height, x : x + width]
            for y in range(3)
            for x in range(3)
            if (y, x) != (1, 1)
        ]
    )
    shifted.sort(axis=0)  # NaN last
    number = np.count_nonzero(~np.isnan(shifted), axis=0)
    middle = np.where(number == 8, 4, np.maximum(number - 1, 0) // 2)
    return np.asarray(np.take_along_axis(shifted, middle[None], axis=0)[0])


@frozen(kw_only=True, eq=False)
class DeadPixels:
    """Dark pixels among lit ones.

    Attributes
    ----------
    lines : (N, N) bool array
        Whole rows and columns.
    clusters : (N, N) bool array
        Other pixels.
    """

    lines: Pixels
    clusters: Pixels

    @property
    def all(self) -> Pixels:
        """Both, (N, N)."""
        return self.lines | self.clusters


def dead_pixels(
    lit: Pattern, mean: Pattern, good: Pixels, number: int, empty_beam: Pattern | None
) -> DeadPixels:
    """Find pixels that are zero in every pattern although those around them have light.

    Parameters
    ----------
    lit : (N, N) array
        Share of the patterns in which each pixel is not zero.
    mean : (N, N) array
        Mean intensity.
    good : (N, N) bool array
    number : int
        Number of patterns.
    empty_beam : (N, N) array, optional
        Far field of the probe, scaled to the sum of ``mean``: what is dark in it may be a shadow.
    """
    dark = good & (lit == 0)
    lines = np.zeros_like(good)
    for axis in (0, 1):
        turned, occupied = np.moveaxis(mean, axis, 0), np.moveaxis(lit, axis, 0)
        view = np.moveaxis(lines, axis, 0)
        for start, stop in _dark_bands(np.moveaxis(good, axis, 0), np.moveaxis(dark, axis, 0)):
            if _cuts_light(turned, occupied, start, stop, number):
                view[start:stop] = True
    lines &= dark
    from scipy import ndimage

    groups, count = ndimage.label(dark & ~lines, _SQUARE)
    if not count:
        return DeadPixels(lines=lines, clusters=dark & False)
    index = np.arange(1, count + 1)
    ring, owner = _rings(groups, good)
    # The chance that a pixel with the light of the darkest neighbour stays dark.
    missing = -number * np.log(np.maximum(1 - lit, 0.5 / number))
    least = _by_group(ndimage.minimum, missing, owner, ring, index)
    size = np.asarray(ndimage.sum_labels(dark, groups, index))
    enclosed = ~np.isin(index, np.unique(_border(groups)))
    dead = enclosed & (least > UNLIKELY)
    if empty_beam is None:
        opposite = np.roll(missing[::-1, ::-1], (1 - len(mean) % 2,) * 2, axis=(0, 1))
        lit_opposite = np.asarray(ndimage.minimum(opposite, groups, index)) > UNLIKELY
        dead &= (size <= SMALL_CLUSTER) & lit_opposite
    else:
        inside = np.asarray(ndimage.mean(empty_beam, groups, index))
        around = _by_group(ndimage.mean, empty_beam, owner, ring, index)
        measured = _by_group(ndimage.mean, mean, owner, ring, index)
        dead &= ~((around > SHADOW * measured) & (inside < SHADOW * around))
    clusters = np.asarray(np.concatenate([[False], dead])[groups])
    return DeadPixels(lines=lines, clusters=clusters)


def _dark_bands(good: Pixels, dark: Pixels) -> list[tuple[int, int]]:
    """Return runs of rows (start, stop) whose good pixels are all dark, away from the edges."""
    row = (dark | ~good).all(axis=1) & (good.sum(axis=1) > good.shape[1] // 4)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
    bands = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [(start, stop) for start, stop in bands if start >= 2 and stop <= len(row) - 2]


def _cuts_light(mean: Pattern, lit: Pattern, start: int, stop: int, number: int) -> bool:
    """Whether rows beside a dark band are lit up to it, on one side at least without fading."""
    if number * min(float(lit[start - 1].sum()), float(lit[stop].sum())) < UNLIKELY:
        return False
    sums = mean[[start - 1, start - 2, stop, stop + 1]].sum(axis=1)
    return bool(sums[0] > 0.75 * sums[1] or sums[2] > 0.75 * sums[3])


def _border(image: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def _rings(groups: NDArray[Any], good: Pixels) -> tuple[Pixels, NDArray[Any]]:
    """Good pixels around groups, and the group that each belongs to."""
    from scipy.ndimage import grey_dilation

    owner = grey_dilation(groups, footprint=_SQUARE)
    return (owner > 0) & (groups == 0) & good, owner


def _by_group(
    function: Any, image: Pattern, owner: NDArray[Any], ring: Pixels, index: NDArray[np.int64]
) -> Pattern:
    """Reduce an image over the ring of each group; 0 for a group without a ring."""
    present = np.isin(index, owner[ring])
    values = np.zeros(len(index))
    if present.any():
        values[present] = function(image, np.where(ring, owner, 0), index[present])
    return values


def _ring_medians(mean: Pattern, groups: NDArray[Any], number: int, good: Pixels) -> Pattern:
    from scipy.ndimage import median

    ring, owner = _rings(groups, good)
    return _by_group(median, mean, owner, ring, np.arange(1, number + 1))
