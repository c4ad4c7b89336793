"""How many pixels of the frames become a pattern."""

import numpy as np
from numpy.typing import NDArray
from ptycho_data.raw import largest_size
from scipy.fft import next_fast_len

__all__ = ["lost_light", "usual_size"]

#: Sizes that patterns get without a given one: those of networks, and others by powers of two.
SIZES = (32, 64, 128, 256, 512, 1024)
#: A size is too small if more than this part of the light is lost.
LOST_LIGHT = 1e-3
#: A usual size is filled up with unknown pixels if the frames hold this part of it.
FILLED = 0.875
#: Pixels beyond this quantile of the distances from the beam are taken for background.
FAR = 0.9


def usual_size(
    light: NDArray[np.float64], centre: tuple[float, float], binning: int, *, pad: bool = False
) -> int:
    """Return the smallest usual size that loses hardly any light.

    Where the frames hold no such size, it is the next larger one if little of it is beyond them, or
    else all that they hold.

    Parameters
    ----------
    light : (H, W) float64 array
        Mean frame, without hot and bad pixels.
    centre
        Row and column of the beam, at least two binned pixels from the edges.
    binning
        Pixels of a frame along the side of one of a pattern.
    pad
        Whether pixels beyond the frames are welcome, however many.

    Returns
    -------
    int
        Pixels of a pattern along a side; larger than the frames if it has to be filled up.
    """
    most = largest_size(light.shape, centre, binning)
    for size in SIZES:
        if size <= most and lost_light(light, centre, size * binning) <= LOST_LIGHT:
            return size
    larger = next((size for size in SIZES if size >= most), most)
    if pad or most >= FILLED * larger:
        return larger
    even = range(most - most % 2, 3, -2)
    return next((size for size in even if next_fast_len(size) == size), most)


def lost_light(light: NDArray[np.float64], centre: tuple[float, float], span: int) -> float:
    """Return the part of the light that a window does not hold.

    The mean of the pixels that are farthest from the beam is background, and no light.

    Parameters
    ----------
    light : (H, W) float64 array
        Mean frame, without hot and bad pixels.
    centre
        Row and column of the beam.
    span
        Pixels of the window along a side.
    """
    rows, columns = (
        np.abs(np.arange(extent) - middle)
        for extent, middle in zip(light.shape, centre, strict=True)
    )
    beyond = np.maximum(rows[:, None], columns) > span / 2
    if not beyond.any():
        return 0.0
    distance = np.hypot(rows[:, None], columns)
    above = light - light[distance >= np.quantile(distance, FAR)].mean()
    total = float(above.sum())
    return float(above[beyond].sum()) / total if total > 0 else 0.0
