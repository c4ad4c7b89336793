"""Resolution without a reference: two halves of a scan, reconstructed separately."""

import math

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._geometry import Canvas
from ptycho_physics.metrics._compare import compare
from ptycho_physics.metrics._frc import FourierRingCorrelation
from ptycho_physics.metrics._quality import Complex


def split_halves(
    positions: NDArray[np.floating], seed: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split a scan into two halves that both cover the whole area.

    Patterns alternate between the halves along strips one step wide, so each half is a scan of the
    same area at half the density.

    Parameters
    ----------
    positions : (n, 2) real array
        Patch centres ``(x, y)`` in pixels.
    seed
        Which of two neighbours goes to which half is drawn with this seed, for halves of another
        kind; by default they simply alternate.

    Returns
    -------
    first, second : integer arrays
        Sorted pattern indices; the first half has one more where ``n`` is odd.

    Raises
    ------
    InvalidValueError
        If there are fewer than two positions.
    """
    points = np.asarray(positions, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2:
        rule = "an (n, 2) array with n >= 2"
        raise InvalidValueError("positions", rule, f"shape {points.shape}")
    offset = points - points.min(axis=0)
    step = math.sqrt(max(float(np.prod(np.ptp(points, axis=0))), 1e-12) / len(points))
    strip = np.floor(offset[:, 1] / step + 0.5)
    along = np.where(strip % 2 == 0, offset[:, 0], -offset[:, 0])
    order = np.lexsort((along, strip))
    if seed is not None:
        pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
        order[: pairs.size] = np.random.default_rng(seed).permuted(pairs, axis=1).ravel()
    return np.sort(order[::2]), np.sort(order[1::2])


def frc_of_halves(
    first: Complex,
    first_canvas: Canvas,
    second: Complex,
    second_canvas: Canvas,
    *,
    margin: int,
    remove_ramp: bool = False,
) -> FourierRingCorrelation:
    """Fourier ring correlation of the reconstructions of two halves of a scan.

    Their noise is independent, so only the object correlates; the half-bit threshold is defined for
    this case. The result is the resolution of a reconstruction from half of the patterns. Common
    errors, above all that of the probe, correlate as well.

    Parameters
    ----------
    first, second : (H, W) complex arrays
        Reconstructions.
    first_canvas, second_canvas : Canvas
        Where they lie on the object grid.
    margin
        Pixels cut off on every side of the area that both canvases cover; half the patch size
        leaves the illuminated area.
    remove_ramp
        Remove a linear phase ramp between them: for halves that refined their own probes.

    Returns
    -------
    FourierRingCorrelation

    Raises
    ------
    InvalidValueError
        If the common area is smaller than 16 pixels, or an image does not fit its canvas.
    """
    low = np.maximum(first_canvas.origin, second_canvas.origin) + margin
    ends = [np.add(c.origin, c.shape[::-1]) for c in (first_canvas, second_canvas)]
    width, height = np.minimum(*ends) - margin - low
    if min(width, height) < 16:
        rule = f"at least 16 x 16 pixels inside a margin of {margin}"
        got = f"{max(width, 0)} x {max(height, 0)}"
        raise InvalidValueError("area common to both halves", rule, got)
    parts = []
    halves = (("first", first, first_canvas), ("second", second, second_canvas))
    for name, image, canvas in halves:
        if image.shape != canvas.shape:
            rule = f"a {canvas.shape} array, the shape of its canvas"
            raise InvalidValueError(name, rule, f"shape {image.shape}")
        x, y = low - canvas.origin
        parts.append(image[y : y + height, x : x + width])
    return compare(parts[0], parts[1], remove_ramp=remove_ramp).frc
