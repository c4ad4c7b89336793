r"""From weighted sums of patches to the object: bright pixels by themselves, dim ones with others.

Where little light fell, what a patch holds is noise. An object is rarely as rough as that, so each
pixel, besides the weight w of what was seen there, gets a little belief :math:`\beta` in what was
seen around it:

.. math:: O = \frac{\sum w_j O_j + \beta \bar O}{\sum w_j + \beta}, \qquad
          \bar O = \frac{G * \sum w_j O_j}{G * \sum w_j}

with a narrow bell G: the estimate of least squares for values that scatter about their
surroundings. On a dense scan w is tens, and nothing changes.
"""

from typing import Any

from ptycho_physics._namespace import Array, as_like, namespace

BELIEF = 0.5
"""In the surroundings of a pixel: half of what the brightest pixel of one patch weighs."""

REACH = 6
"""Pixels from the middle to the end of the bell, a binomial one with a variance of half of this."""

SMALLEST_WEIGHT = 1e-9
"""Far below the floor of `ptycho_physics.probe_weight`: nothing was seen."""

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
        found = (total[rows] + BELIEF * mean) / (light + BELIEF)
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
