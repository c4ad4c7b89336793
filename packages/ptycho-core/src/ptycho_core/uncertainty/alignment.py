"""Lay one reconstruction over another, without what ptychography leaves open."""

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction
from ptycho_physics.metrics import compare, shift_image

from ptycho_core.analysis.comparison import PlacedObject, common_box

__all__ = ["Laid", "between_centres", "laid_over"]


@frozen(kw_only=True, eq=False)
class Laid:
    """An object on the canvas of another one.

    Attributes
    ----------
    values : (H, W) complex128 array
    covered : (H, W) bool array
        Where its patches lie; elsewhere the values mean nothing.
    """

    values: NDArray[np.complex128]
    covered: NDArray[np.bool_]


def laid_over(part: Reconstruction, whole: Reconstruction) -> Laid:
    """Bring an object onto the canvas of another one, with the same gauge.

    A shift, a linear phase ramp and one complex factor (scale and global phase) are found over the
    rectangle between the patch centres that both have in common, and applied to the whole object.
    What remains between the two is a difference of the images.

    Parameters
    ----------
    part, whole : Reconstruction
        Of the same scan, or of parts of it.

    Raises
    ------
    InvalidValueError
        If they have less than 16 x 16 pixels in common.
    """
    ours, theirs = PlacedObject.from_reconstruction(part), PlacedObject.from_reconstruction(whole)
    left, top, right, bottom = box = common_box(ours, theirs)
    found = compare(ours.cut(box), theirs.cut(box), remove_ramp=True)
    x0, y0 = (int(value) for value in whole.origin)
    height, width = whole.object.shape
    y = np.arange(height)[:, None] + y0 - (top + bottom) // 2
    x = np.arange(width) + x0 - (left + right) // 2
    ramp = np.exp(1j * (found.ramp[0] * x + found.ramp[1] * y))
    values = _placed(part, part.object, whole) * ramp * found.factor
    covered = _placed(part, part.coverage, whole) > 0
    return Laid(values=shift_image(values, found.shift), covered=covered)


def between_centres(rec: Reconstruction) -> tuple[slice, slice]:
    """Return rows and columns of the canvas between the outermost patch centres."""
    left, top, right, bottom = PlacedObject.from_reconstruction(rec).box()
    x0, y0 = (int(value) for value in rec.origin)
    return slice(top - y0, bottom - y0), slice(left - x0, right - x0)


def _placed(
    part: Reconstruction, values: NDArray[np.generic], whole: Reconstruction
) -> NDArray[Any]:
    """Return an array of one canvas on another one; zero where it does not reach."""
    placed = np.zeros(whole.object.shape, values.dtype)
    starts = (part.origin - whole.origin)[::-1]
    here, there = [], []
    for start, size, room in zip(starts, values.shape, placed.shape, strict=True):
        first, last = max(0, int(start)), min(room, int(start) + size)
        here.append(slice(first, last))
        there.append(slice(first - int(start), last - int(start)))
    placed[tuple(here)] = values[tuple(there)]
    return placed
