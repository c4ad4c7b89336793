r"""From weighted sums of patches to the object: bright pixels by themselves, dim ones with others.

Where little light fell, what a patch holds is mostly noise, and rougher than an object is. Of a
pixel with the weight :math:`w = \sum w_j` as much as :math:`1 / (1 + w^2)` is taken from what was
seen around it,

.. math:: O = \frac{w^2 \, \hat O + \bar O}{w^2 + 1}, \qquad
          \hat O = \frac{\sum w_j O_j}{w}, \qquad
          \bar O = \frac{G * \sum w_j O_j}{G * \sum w_j}

with a narrow bell G: half of it where the brightest pixel of a single pattern fell, nearly all
where only the rim of the beam came, and less than a thousandth on a dense scan, where w is tens.
"""

from typing import Any

from ptycho_physics._namespace import Array, as_like, namespace

REACH = 6
"""Pixels from the middle to the end of the bell, a binomial one with a variance of half of this."""

SMALLEST_WEIGHT = 1e-9
"""Far below the floor of `ptycho_physics.probe_weight`: nothing was seen. Added to summed
weights, it keeps their quotient defined."""

STRIP = 256
"""Rows at a time: temporaries as large as the object would be the most that is ever in memory."""


def stitched_object(total: Array, weight: Array, *, xp: Any | None = None) -> Array:
    """Return the object that weighted sums of patches give; one where no patch lies.

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
        found = (light * total[rows] + mean) / (light * light + 1)
        object_[rows] = xp.where(light > SMALLEST_WEIGHT, found, object_[rows])
    return object_


def _around(image: Array, rows: slice, xp: Any) -> Array:
    """Blur some rows of an image, zero around it, by sums of neighbours, again and again."""
    (H, W), above, below = image.shape, rows.start - REACH, rows.stop + REACH
    wide = xp.zeros((below - above, W + 2 * REACH), dtype=image.dtype)
    wide = as_like(wide, image, xp)
    first, last = max(above, 0), min(below, H)
    wide[first - above : last - above, REACH : REACH + W] = image[first:last]
    for _ in range(REACH):
        wide = (wide[2:] + 2 * wide[1:-1] + wide[:-2]) / 4
        wide = (wide[:, 2:] + 2 * wide[:, 1:-1] + wide[:, :-2]) / 4
    return wide
