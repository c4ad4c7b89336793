"""Bad pixels of a detector, from its mask and from some of its frames."""

from collections.abc import Callable

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_data.raw import RawScan, Window, no_value, polarity

from ptycho_core.cautions._pixel_faults import dead_pixels, hot_pixels, stuck_pixels

__all__ = ["FrameMask", "add_faults", "mask_of", "whole_of"]


@frozen(kw_only=True, eq=False)
class FrameMask:
    """Bad pixels of frames, and why they are bad.

    Attributes
    ----------
    bad : (H, W) bool
    remarks : list of str
        One line for each reason.
    """

    bad: NDArray[np.bool_]
    remarks: list[str] = field(factory=list)


def mask_of(raw: RawScan, sample: NDArray[np.generic], good: bool | None) -> FrameMask:
    """Join the mask of the file with pixels that hold no value.

    Parameters
    ----------
    raw
        With its mask as it is in the file.
    sample : (k, H, W)
        Some frames, as they are stored.
    good
        Whether pixels of the mask that are not zero are the good ones; None to judge.
    """
    bad, remarks = np.zeros(raw.shape, bool), []
    if raw.mask is not None:
        name = raw.places.get("mask", "mask")
        mask = raw.mask
        if mask.shape != raw.shape and mask.shape == raw.shape[::-1]:
            mask = mask.T
            remarks.append(f"{name}: rows and columns exchanged, to fit the frames")
        if mask.shape != raw.shape:
            remarks.append(f"{name}: not used, its shape {mask.shape} is not that of the frames")
        else:
            bad, reason = polarity(mask, sample, raw.mask_is_good if good is None else good)
            told = f"{int(bad.sum())} bad pixels in the mask {name}"
            remarks.append(f"{told}, read with good pixels marked: {reason}" if reason else told)
    found = no_value(sample, bad)
    if (bad | found.bad).all():
        return FrameMask(bad=bad, remarks=remarks)
    return FrameMask(bad=bad | found.bad, remarks=[*remarks, *found.remarks])


def add_faults(
    mask: FrameMask,
    window: Window,
    values: Callable[[], NDArray[np.floating]],
) -> FrameMask:
    """Add hot, stuck and dead pixels in the part of frames that becomes a pattern.

    Parameters
    ----------
    mask
        Bad pixels that are known.
    window
        That part.
    values
        Returns some frames, cut out and corrected: (k, span, span).
    """
    good = ~window.cut(mask.bad, fill=True)
    if not good.any():
        return mask
    sample = np.where(good, np.maximum(values(), 0), 0)
    mean = sample.mean(axis=0, dtype=np.float64)
    stuck = stuck_pixels(sample, mean, good)
    good &= ~stuck
    lit = np.count_nonzero(sample, axis=0) / len(sample)
    dead = dead_pixels(lit, mean, good, len(sample), None).all
    good &= ~dead
    middle = np.median(sample, axis=0).astype(np.float64)
    hot = hot_pixels(middle, mean, good, None)
    bad, remarks = mask.bad.copy(), list(mask.remarks)
    for found, what in (
        (stuck, "stuck pixels, with one value in most frames"),
        (hot, "hot pixels, over 20 times brighter than those around"),
        (dead, "dead pixels, never lit where their neighbours are"),
    ):
        if found.any():
            bad |= _whole(found, window, bad.shape)
            remarks.append(f"{int(found.sum())} {what}")
    return FrameMask(bad=bad, remarks=remarks)


def whole_of(window: Window, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return where in the flat frame each pixel of the window is: (span, span), -1 outside."""
    numbers = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    return np.asarray(window.cut(numbers, fill=-1))


def _whole(part: NDArray[np.bool_], window: Window, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Put a mask of the window back into one of whole frames."""
    where = whole_of(window, shape)[part]
    whole = np.zeros(shape, bool)
    whole.reshape(-1)[where[where >= 0]] = True
    return whole
