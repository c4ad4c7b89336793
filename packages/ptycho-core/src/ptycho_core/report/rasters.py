"""Pictures as PNG in the text of a page: one byte per pixel, with the colours in a palette."""

import io
from base64 import b64encode
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["colour_of", "picture_data", "reduced"]

#: Colours of a map; the last index of a palette stands for what was not measured.
LEVELS, MISSING = 255, 255
#: Shown where nothing was measured: a colour that no map contains.
MISSING_COLOUR = (217, 210, 197)


@cache
def _palette(colours: str) -> NDArray[np.uint8]:
    """Colours (256, 3) of a map of matplotlib, and that of what is missing."""
    from matplotlib import colormaps  # late: pages without pictures need none

    values = colormaps[colours](np.linspace(0, 1, LEVELS), bytes=True)[:, :3]
    return np.concatenate([values, np.array([MISSING_COLOUR], np.uint8)])


def _indices(values: Any, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Index into a palette of each value; masked and non-finite ones are missing."""
    low, high = limits
    plain = np.ma.getdata(values).astype(np.float32)
    missing = np.ma.getmaskarray(values) | ~np.isfinite(plain)
    share = (np.where(missing, low, plain) - low) / ((high - low) or 1.0)
    index = np.rint(share.clip(0, 1) * (LEVELS - 1)).astype(np.uint8)
    return np.where(missing, np.uint8(MISSING), index)


def picture_data(values: Any, limits: tuple[float, float], colours: str) -> str:
    """Write an image (H, W), which may be masked, as a data URL.

    Parameters
    ----------
    values
        Real numbers.
    limits
        Values of the first and last colour.
    colours
        Name of a colour map of matplotlib.
    """
    from PIL import Image  # matplotlib brings it

    image = Image.fromarray(_indices(values, limits), mode=None)
    image.putpalette(_palette(colours).tobytes())
    out = io.BytesIO()
    image.save(out, "PNG")
    return f"data:image/png;base64,{b64encode(out.getvalue()).decode('ascii')}"


def colour_of(values: Any, limits: tuple[float, float], colours: str) -> list[str]:
    """Colours of some values, as ``#rrggbb``."""
    found = _palette(colours)[_indices(values, limits)]
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in found]


def reduced(values: NDArray[Any], longest: int) -> NDArray[Any]:
    """Average blocks of pixels so that no side (H, W) is longer; incomplete ones are left out."""
    side = -(-max(values.shape) // longest)
    if side == 1:
        return values
    height, width = (length // side * side for length in values.shape)
    blocks = values[:height, :width].reshape(height // side, side, width // side, side)
    averaged: NDArray[Any] = blocks.mean(axis=(1, 3))
    return averaged
