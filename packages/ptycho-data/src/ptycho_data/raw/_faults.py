"""Pixels of frames without a value: marked, of the largest value of a type, or negative."""

from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from ptycho_data._fill import constant_negative, filled
from ptycho_data._measure import measure

__all__ = ["NoValue", "no_value", "polarity"]

#: A mask that marks more than this part of the pixels, or of those with light, is turned round.
_MOST = 0.5
#: A pixel is lit if it is not zero in this part of the frames.
_LIT = 0.25


@frozen(kw_only=True, eq=False)
class NoValue:
    """Pixels of frames without a value.

    Attributes
    ----------
    bad : (H, W) bool
        Those pixels.
    remarks : list of str
        How many of which kind.
    """

    bad: NDArray[np.bool_]
    remarks: list[str] = field(factory=list)


def polarity(
    mask: NDArray[Any], sample: NDArray[Any], good: bool | None = None
) -> tuple[NDArray[np.bool_], str]:
    """Tell which pixels a mask marks as bad.

    Parameters
    ----------
    mask : (H, W)
        Mask as it is in a file.
    sample : (k, H, W)
        Some frames.
    good
        Whether pixels that are not zero are the good ones, if it is known.

    Returns
    -------
    bad : (H, W) bool
    reason : str
        In words.
    """
    marked = np.asarray(mask != 0)
    if good is not None:
        return (~marked if good else marked), ""
    share = float(marked.mean())
    with np.errstate(invalid="ignore"):
        lit = ((sample > 0).mean(axis=0) > _LIT) & (sample != sample[:1]).any(axis=0)
    hidden = float((lit & marked).sum() / max(1, lit.sum()))
    if share > _MOST or (hidden > _MOST and share > 1 - hidden):
        return ~marked, f"it marks {share:.0%} of the pixels, so that these are the good ones"
    return marked, ""


def no_value(sample: NDArray[Any], known: NDArray[np.bool_]) -> NoValue:
    """Find pixels that hold the largest value of a number type, or one value below zero always.

    Parameters
    ----------
    sample : (k, H, W)
        Some frames.
    known : (H, W) bool
        Pixels that are known to be bad.

    Returns
    -------
    NoValue
        Pixels that are not known yet.
    """
    statistics = measure(sample, bad_pixels=known)
    bad, remarks = filled(sample, statistics, known)
    if sample.dtype.kind in "if":
        negative = constant_negative(statistics, len(sample)) & ~known
        if negative.any():
            bad |= negative
            remarks.append(f"{int(negative.sum())} pixels have one value below 0 in every frame")
    if sample.dtype.kind == "f":
        broken = ~np.isfinite(sample).all(axis=0) & ~known
        if broken.any():
            bad |= broken
            remarks.append(f"{int(broken.sum())} pixels hold no finite number")
    return NoValue(bad=bad, remarks=remarks)
