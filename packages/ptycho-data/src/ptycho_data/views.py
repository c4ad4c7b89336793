"""What a picture of a complex object shows: robust contrast, honest masks, one frame per scan.

Nothing here changes data, and nothing draws: `ptycho_data.figures` does.
"""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_data.unwrapping import unwrapped

if TYPE_CHECKING:
    from ptycho_data._reconstruction import Reconstruction

__all__ = [
    "ScannedArea",
    "View",
    "covered_region",
    "object_views",
    "phase_ramp",
    "reconstruction_views",
    "robust_limits",
]

#: Percentiles of the covered region that the colours span.
PERCENTILES = (0.5, 99.5)
#: A phase that fills more than this part of the circle is shown on a cyclic map.
CYCLIC_SPAN = 0.85 * 2 * math.pi
#: Pixels with less than this part of the largest coverage were not really measured.
COVERED = 0.02
#: Objects with longer sides are shown by averages over blocks of pixels: a picture has no more
#: pixels than that, and drawing takes some hundred bytes for each.
LONGEST_SIDE = 1200
#: Directions in which the outermost positions are the corners of an outline.
DIRECTIONS = 64

AnyArray = NDArray[Any]


@frozen(kw_only=True, eq=False)
class ScannedArea:
    """Where the positions of a scan lie, in pixels of the object grid.

    Attributes
    ----------
    outline : (k, 2) float64
        Corners (x, y) of a polygon around the positions.
    box : (float, float, float, float)
        Left, top, right and bottom of the rectangle around the positions.
    frame : (int, int, int, int)
        The same with a margin of a quarter of a patch, in whole pixels, right and bottom exclusive:
        what pictures show. It depends on the positions alone, so all runs of a scan have the same.
    """

    outline: NDArray[np.float64]
    box: tuple[float, float, float, float]
    frame: tuple[int, int, int, int]

    @classmethod
    def of(cls, positions: NDArray[np.float64], size: int) -> Self:
        """Find the area of positions (k, 2), as (x, y), of patches with an edge of `size` pixels.

        The polygon joins the outermost positions of 64 directions.
        """
        angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
        along = np.stack([np.cos(angles), np.sin(angles)])
        outermost = [int(np.argmax(positions @ direction)) for direction in along.T]
        corners = positions[list(dict.fromkeys(outermost))]
        left, top = (float(value) for value in positions.min(axis=0))
        right, bottom = (float(value) for value in positions.max(axis=0))
        margin = size // 4
        first = (math.floor(left) - margin, math.floor(top) - margin)
        end = (math.ceil(right) + margin + 1, math.ceil(bottom) + margin + 1)
        return cls(outline=corners, box=(left, top, right, bottom), frame=(*first, *end))


@frozen(kw_only=True, eq=False)
class View:
    """One picture, ready to be drawn.

    Attributes
    ----------
    image : (H, W) masked float array
        Masked where nothing was measured.
    title, label
        Above the picture; beside its colour bar.
    limits
        Values at the ends of the colour bar.
    colours
        Name of a matplotlib colour map.
    extent
        Left, right, bottom, top in object pixels.
    outline : (k, 2) float64 or None
        Polygon around the scanned positions, in object pixels.
    note
        What was done to show it; empty if it is shown as it is.
    """

    image: "np.ma.MaskedArray[Any, Any]"
    title: str
    label: str
    limits: tuple[float, float]
    colours: str
    extent: tuple[float, float, float, float]
    outline: NDArray[np.float64] | None = None
    note: str = ""


def robust_limits(values: AnyArray) -> tuple[float, float]:
    """Colour limits that a few outliers do not move.

    Parameters
    ----------
    values : float array
        Non-finite values are ignored.

    Returns
    -------
    (float, float)
        Percentiles 0.5 and 99.5, widened to 1 % of the value (or 0.01) where an image is flat.
    """
    finite = np.asarray(values)[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, PERCENTILES))
    width = max(0.01 * abs(high), 1e-2)
    if high - low < width:
        centre = (low + high) / 2
        return centre - width / 2, centre + width / 2
    return low, high


def covered_region(coverage: AnyArray) -> AnyArray:
    """Where the coverage is worth looking at: bool, shape of ``coverage``."""
    return np.asarray(coverage > COVERED * float(coverage.max(initial=0.0)))


def _covered_box(mask: AnyArray) -> tuple[slice, slice]:
    """Smallest rows and columns that hold every True pixel; everything for an empty mask."""
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _shown_box(
    mask: AnyArray, origin: tuple[float, float], area: ScannedArea | None
) -> tuple[slice, slice]:
    """Rows and columns to show: the frame of the area, or what is covered where there is none."""
    if area is None:
        return _covered_box(mask)
    x, y = (round(value) for value in origin)
    left, top, right, bottom = area.frame
    rows = slice(max(top - y, 0), min(bottom - y, mask.shape[0]))
    columns = slice(max(left - x, 0), min(right - x, mask.shape[1]))
    empty = rows.start >= rows.stop or columns.start >= columns.stop
    return _covered_box(mask) if empty else (rows, columns)


def phase_ramp(values: AnyArray, mask: AnyArray) -> tuple[float, float]:
    """Mean phase step from one pixel to the next, in x and y, radians.

    The steps are averaged as products of neighbours, weighted by their amplitudes, so that phases
    need not be unwrapped, and edges in the sample cancel that go up on one side and down on the
    other.
    """
    sums = np.zeros(2, complex)
    for row in range(0, len(values), 64):
        part = np.where(mask[row : row + 65], values[row : row + 65], 0).astype(np.complex64)
        sums[0] += np.vdot(part[:64, :-1], part[:64, 1:])
        sums[1] += np.vdot(part[:-1], part[1:])
    return float(np.angle(sums[0])), float(np.angle(sums[1]))


def _averaged(
    values: AnyArray, mask: AnyArray, side: int, ramp: tuple[float, float]
) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Remove a ramp and average blocks of ``side`` x ``side`` pixels, those of the mask alone.

    Returns amplitude, complex values and mask of the blocks; the last ones may be incomplete. Phase
    goes round in circles, so it is the complex values that are averaged for it; their amplitude
    would suffer where the phase is steep. Few rows are worked on at a time.
    """
    height, width = values.shape
    starts = np.arange(0, width, side)
    back = np.exp(-1j * ramp[0] * np.arange(width)).astype(np.complex64)
    amplitude, field, share = [], [], []
    for row in range(0, height, side):
        seen = mask[row : row + side]
        part = np.where(seen, values[row : row + side], 0)
        level = part * back
        level *= np.exp(-1j * ramp[1] * np.arange(row, row + len(part)))[:, None]
        count = np.add.reduceat(seen.sum(axis=0), starts)
        divisor = np.maximum(count, 1)
        amplitude.append(np.add.reduceat(np.abs(part).sum(axis=0), starts) / divisor)
        field.append(np.add.reduceat(level.sum(axis=0), starts) / divisor)
        share.append(count / side**2)
    majority = 2 * np.array(share) >= 1
    return np.array(amplitude, np.float32), np.array(field, np.complex64), majority


def _centred_phase(values: AnyArray, mask: AnyArray) -> AnyArray:
    """Phase in radians with the mean direction of the mask at zero."""
    direction = np.sum(values[mask]) if mask.any() else 1.0
    return np.asarray(np.angle(values * np.exp(-1j * np.angle(direction))))


def _scanned(mask: AnyArray, extent: tuple[float, ...], area: ScannedArea | None) -> AnyArray:
    """Pixels of a mask between the outermost positions: beyond them little light gives much noise.

    All of the mask without an area, and where nothing of it lies there.
    """
    if area is None:
        return mask
    left, right, bottom, top = extent
    x = left + (np.arange(mask.shape[1]) + 0.5) * (right - left) / mask.shape[1]
    y = top + (np.arange(mask.shape[0]) + 0.5) * (bottom - top) / mask.shape[0]
    first, upper, last, lower = area.box
    inside = mask & ((x >= first) & (x <= last)) & ((y >= upper) & (y <= lower))[:, None]
    return inside if inside.any() else mask


def object_views(
    values: AnyArray,
    coverage: AnyArray | None = None,
    origin: tuple[float, float] = (0, 0),
    suffix: str = "",
    *,
    area: ScannedArea | None = None,
    level: bool = False,
    unwrap: bool = False,
    longest_side: int | None = None,
) -> tuple[View, View]:
    """Amplitude and phase of an object as views.

    Parameters
    ----------
    values : (H, W) complex array
        The object; one with more pixels than a picture shows is averaged over blocks of them.
    coverage : (H, W) float array, optional
        Weight sum; pixels with less than 2 % of the largest one are masked.
    origin
        Object-grid pixel ``(x, y)`` of ``values[0, 0]``.
    suffix
        Added to the titles.
    area : ScannedArea, optional
        Of the scan: its frame is shown, and the contrast is that between its positions. Without
        it, what is covered is shown.
    level
        Remove the mean phase ramp from the phase: patterns do not determine it, since the probe
        takes up the opposite one.
    unwrap
        Show the phase without jumps of 2 pi, see `ptycho_data.unwrapping`. It is found on the
        pixels of the picture.
    longest_side
        Most pixels of a side of the picture; 1200 by default.

    Returns
    -------
    (View, View)
        Amplitude on grey; phase, its mean direction at zero, on a perceptual map, or on a cyclic
        one where it goes round the circle and is not unwrapped.

    Raises
    ------
    MissingPackageError
        The phase is to be unwrapped, and scikit-image is not installed.
    """
    mask = np.ones(values.shape, bool) if coverage is None else covered_region(coverage)
    rows, columns = _shown_box(mask, origin, area)
    left, top = origin[0] + columns.start - 0.5, origin[1] + rows.start - 0.5
    longest = max(rows.stop - rows.start, columns.stop - columns.start)
    side = -(-longest // (longest_side or LONGEST_SIDE))
    shown, mask = values[rows, columns], mask[rows, columns]
    ramp = phase_ramp(shown, mask) if level else (0.0, 0.0)
    amplitude, field, mask = _averaged(shown, mask, side, ramp)
    extent = (left, left + side * mask.shape[1], top + side * mask.shape[0], top)
    inner = _scanned(mask, extent, area)
    phase = _centred_phase(field, inner)
    if unwrap:
        phase = unwrapped(phase, mask)
        phase -= phase[inner].mean() if inner.any() else 0
    limits = robust_limits(phase[inner])
    cyclic = not unwrap and limits[1] - limits[0] > CYCLIC_SPAN
    outline = None if area is None else area.outline
    return (
        View(
            image=np.ma.masked_array(amplitude, ~mask),
            title=f"Amplitude{suffix}",
            label="amplitude",
            limits=robust_limits(amplitude[inner]),
            colours="gray",
            extent=extent,
            outline=outline,
        ),
        View(
            image=np.ma.masked_array(phase, ~mask),
            title=f"Phase{suffix}",
            label="phase / rad",
            limits=(-math.pi, math.pi) if cyclic else limits,
            colours="twilight_shifted" if cyclic else "viridis",
            extent=extent,
            outline=outline,
            note="; ".join([_note(ramp)] * level + ["phase unwrapped"] * unwrap),
        ),
    )


def _note(ramp: tuple[float, float]) -> str:
    """Say what was removed from a phase: numbers that would round to -0 are 0."""
    x, y = (round(value, 4) + 0.0 for value in ramp)
    return f"mean phase and ramp ({x:g}, {y:g}) rad/pixel removed for display"


def reconstruction_views(
    rec: "Reconstruction",
    area: ScannedArea | None = None,
    *,
    unwrap: bool = False,
    longest_side: int | None = None,
) -> tuple[View, View]:
    """Amplitude and phase of a reconstruction, as all pictures of it show them.

    Parameters
    ----------
    rec
        The reconstruction.
    area
        Of its scan; by default of the patterns that were used.
    unwrap, longest_side
        As for `object_views`, also for what is raised.
    """
    if area is None:
        area = ScannedArea.of(rec.positions + rec.origin, rec.N)
    origin = (float(rec.origin[0]), float(rec.origin[1]))
    return object_views(
        rec.object,
        rec.coverage,
        origin,
        area=area,
        level=True,
        unwrap=unwrap,
        longest_side=longest_side,
    )
