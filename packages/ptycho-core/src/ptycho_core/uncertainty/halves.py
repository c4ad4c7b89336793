r"""The variance of an object from reconstructions of two halves of its scan.

Let the two halves give :math:`A = T + b + e_A` and :math:`B = T + b + e_B`: the object, an error
that both make alike, and independent errors of equal variance :math:`v_h`. Their difference has
lost object and common error,

.. math:: \mathrm{E}(A - B)^2 = 2 v_h .

A method that uses every pattern as well as any other makes an error of variance :math:`v_h / 2`
from twice as many of them, as the mean of the two halves does. So the variance of the whole is

.. math:: v = \mathrm{E}(A - B)^2 / 4 ,

one half of the root mean square of the difference. Another split of the same scan, with other
neighbours exchanged, changes the signs of half of the patterns in :math:`A - B`: its difference has
the same variance and is uncorrelated with the first one, so that the mean over several splits is
sharper.

The square of a single pixel says little. Squares are averaged with a Gaussian of `SCALE` pixels,
that is, over about :math:`4 \pi s^2 = 50` pixels: the standard error they give is known to about
10 %, if the errors of neighbours are independent.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction, Scan
from ptycho_physics.metrics import split_halves

from ptycho_core.uncertainty.alignment import laid_over

__all__ = ["SCALE", "Make", "Spread", "spread_of_halves"]

#: Standard deviation of the Gaussian that averages squares, pixels.
SCALE = 2.0

#: Reconstructs a scan of some patterns, and their rows in the whole one, like the whole scan.
Make = Callable[[Scan, NDArray[np.int64]], Reconstruction]

Real = NDArray[np.float64]


@frozen(kw_only=True, eq=False)
class Spread:
    """Standard errors by the halves of a scan alone.

    Attributes
    ----------
    amplitude, phase : (H, W) float64 arrays
        Of the canvas of the whole; phase in radians. NaN where not every half has patches.
    patterns : (int, int)
        Number of patterns in the two halves.
    """

    amplitude: Real
    phase: Real
    patterns: tuple[int, int]


def spread_of_halves(
    whole: Reconstruction, scan: Scan, make: Make, seeds: Sequence[int | None]
) -> Spread:
    """Reconstruct halves of a scan, and compare them.

    Parameters
    ----------
    whole : Reconstruction
        Of all patterns; halves are laid over it, see `laid_over`.
    scan : Scan
        The patterns of the whole.
    make
        Reconstructs one half.
    seeds
        Of each split, see `ptycho_physics.metrics.split_halves`.

    Raises
    ------
    InvalidValueError
        If there are fewer than two patterns, or halves share too small an area.
    """
    amplitude, phase = (np.zeros(whole.object.shape) for _ in range(2))
    covered = whole.coverage > 0
    for seed in seeds:
        parts = split_halves(scan.positions, seed)
        first, second = (laid_over(make(scan.select(part), part), whole) for part in parts)
        covered &= first.covered & second.covered
        amplitude += (np.abs(first.values) - np.abs(second.values)) ** 2
        phase += np.angle(first.values * np.conj(second.values)) ** 2
    error = partial(_root_of_local_mean, covered=covered, divisor=4 * len(seeds))
    return Spread(
        amplitude=error(amplitude), phase=error(phase), patterns=(len(parts[0]), len(parts[1]))
    )


def _root_of_local_mean(squares: Real, *, covered: NDArray[np.bool_], divisor: int) -> Real:
    """Average squares over covered neighbours; NaN elsewhere."""
    from scipy.ndimage import gaussian_filter  # takes long to import

    weight = gaussian_filter(covered.astype(np.float64), SCALE)
    mean = gaussian_filter(np.where(covered, squares, 0.0), SCALE) / np.where(covered, weight, 1.0)
    return np.where(covered, np.sqrt(mean / divisor), np.nan)
