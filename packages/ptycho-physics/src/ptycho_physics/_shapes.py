"""Anti-aliased shapes and image filters, for probes, objects and metrics."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def offsets(
    shape: tuple[int, int], centre: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return column offsets (1, W) and row offsets (H, 1) from ``centre`` given as ``(x, y)``."""
    x = np.arange(shape[1], dtype=np.float64)[None, :] - centre[0]
    y = np.arange(shape[0], dtype=np.float64)[:, None] - centre[1]
    return x, y


def soft_step(distance: NDArray[np.float64], edge: float) -> NDArray[np.float64]:
    """Rise smoothly from 0 to 1 where a signed distance crosses zero, over ``edge`` pixels."""
    t = np.clip(distance / edge + 0.5, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def blur(images: NDArray[Any], sigma: float, radius: int | None = None) -> NDArray[Any]:
    """Blur images (..., H, W) with a Gaussian, their border pixels repeated outside.

    The kernel ends ``radius`` pixels from its centre, by default at four ``sigma``.
    """
    # Imported here: it takes as long as all other imports of this package together.
    from scipy.ndimage import gaussian_filter

    radius = math.ceil(4 * sigma) if radius is None else radius
    smooth = gaussian_filter(images, sigma, mode="nearest", radius=radius, axes=(-2, -1))
    return np.asarray(smooth)


def unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stretch to [0, 1]; a flat map is 0."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def resize(image: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Resize an image bilinearly, anti-aliased where it shrinks."""
    if image.shape == shape:
        return image
    rows, columns = (_resampling(a, b) for a, b in zip(image.shape, shape, strict=True))
    return np.asarray(rows @ image @ columns.T)


def _resampling(size: int, new: int) -> NDArray[np.float64]:
    """Return the (new, size) matrix of triangular weights, wide enough not to alias."""
    scale = size / new
    centres = (np.arange(new) + 0.5) * scale - 0.5
    distance = np.abs(centres[:, None] - np.arange(size)[None, :]) / max(scale, 1.0)
    weights = np.clip(1 - distance, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
