r"""The object from weighted sums of patches, with dim pixels regularised by their surroundings.

Where there is little light, patches are mostly noise, which is rougher than an object. A pixel with
the weight :math:`w = \sum w_j` therefore takes the fraction :math:`1 / (1 + w^2)` of its value from
the weighted mean of its surroundings,

.. math:: O = \frac{w^2 \, \hat O + \bar O}{w^2 + 1}, \qquad
          \hat O = \frac{\sum w_j O_j}{w}, \qquad
          \bar O = \frac{G * \sum w_j O_j}{G * \sum w_j}

with a narrow bell-shaped kernel G. The fraction is a half at the brightest pixel of a single
pattern, almost one at the rim of the beam, and less than a thousandth in a dense scan, where w is
of the order of ten or more.
"""

from typing import Any

from ptycho_physics._namespace import Array, as_like, namespace

REACH = 6
"""Radius of the binomial kernel in pixels; its variance is half of this."""

SMALLEST_WEIGHT = 1e-9
"""Weights below this mean no light: it is far below the floor of `ptycho_physics.probe_weight`.
Added to summed weights, it keeps their quotient defined."""

STRIP = 256
"""Rows processed at a time, so that no temporary is as large as the object."""


def stitched_object(total: Array, weight: Array, *, xp: Any | None = None) -> Array:
    """Return the object from weighted sums of patches; one where there is no patch.

    Parameters
    ----------
    total : (H, W) complex array
        Weighted sum of the patches.
    weight : (H, W) real array
        Sum of their weights, in units of the brightest pixel of one patch (`probe_weight`).

    Returns
    -------
    (H, W) complex array
    """
    xp = namespace(total, weight, xp=xp)
    object_ = xp.ones_like(total)
    for start in range(0, total.shape[0], STRIP):
        rows = slice(start, min(start + STRIP, total.shape[0]))
        light, nearby = weight[rows], _around(weight, rows, xp)
        mean = _around(total, rows, xp) / xp.where(nearby > 0, nearby, xp.ones_like(nearby))
        values = (light * total[rows] + mean) / (light * light + 1)
        object_[rows] = xp.where(light > SMALLEST_WEIGHT, values, object_[rows])
    return object_


def _around(image: Array, rows: slice, xp: Any) -> Array:
    """Blur some rows of an image, padded with zeros, by repeated sums of neighbours."""
    (H, W), above, below = image.shape, rows.start - REACH, rows.stop + REACH
    wide = xp.zeros((below - above, W + 2 * REACH), dtype=image.dtype)
    wide = as_like(wide, image, xp)
    first, last = max(above, 0), min(below, H)
    wide[first - above : last - above, REACH : REACH + W] = image[first:last]
    for _ in range(REACH):
        wide = (wide[2:] + 2 * wide[1:-1] + wide[:-2]) / 4
        wide = (wide[:, 2:] + 2 * wide[:, 1:-1] + wide[:, :-2]) / 4
    return wide
