"""The measured patterns: amplitudes of a batch, at a mean of one count per pattern."""

from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from ptycho_physics._namespace import Array, as_like
from ptycho_physics._scaling import photons_per_pattern

CHUNK = 64
"""Patterns at a time in a pass over the whole scan."""

ROUNDING = 1e-6
"""Relative error of counts in single precision, with a margin."""


@frozen(kw_only=True, eq=False)
class Measurement:
    """Counts of a scan.

    Attributes
    ----------
    counts : (n, N, N) real array
        Zero frequency in the centre.
    photons : float
        Counts of a pattern behind an object of unit amplitude: see `photons_per_pattern`.
    bad : (N, N) boolean array, or None
        True where a pixel is bad.
    held_out : (k,) int64 NumPy array
        Patterns that object and probe are never fitted to, ascending.
    unfitted : (N, N) boolean array, or None
        Of held-out patterns, True at pixels that nothing is fitted to: bad ones, and those that
        the prediction is compared with.
    uncompared : (N, N) boolean array, or None
        True at their other pixels: what belongs to these patterns alone is fitted there.
    """

    counts: Array
    photons: float
    bad: Array | None
    xp: Any
    held_out: NDArray[np.int64] = field(factory=lambda: np.empty(0, dtype=np.int64))
    unfitted: Array | None = None
    uncompared: Array | None = None

    @classmethod
    def of(cls, counts: Array, probe: Array, mask: Array | None, xp: Any) -> "Measurement":
        """Determine the scale of a scan.

        Raises
        ------
        InvalidValueError
            If all counts are zero, or the bad pixels leave no light.
        """
        photons = photons_per_pattern(counts, probe, mask, xp=xp)
        return cls(counts=counts, photons=photons, bad=mask, xp=xp)

    def __len__(self) -> int:
        """Return the number of patterns."""
        return int(self.counts.shape[0])

    @property
    def used(self) -> NDArray[np.int64]:
        """Patterns that are not held out, ascending."""
        return np.setdiff1d(np.arange(len(self)), self.held_out, assume_unique=True)

    def relative(self, batch: NDArray[np.int64]) -> Array:
        """Measured counts (b, N, N), a new float32 array, at a mean of one per pattern."""
        xp = self.xp
        chosen = xp.take(self.counts, as_like(xp.asarray(batch), self.counts, xp), axis=0)
        values = xp.astype(chosen, xp.float32)
        values *= 1 / self.photons
        return values

    def saturated(self, batch: NDArray[np.int64], level: float) -> Array:
        """Where patterns (b, N, N) have at least ``level`` counts, but for rounding."""
        xp = self.xp
        chosen = xp.take(self.counts, as_like(xp.asarray(batch), self.counts, xp), axis=0)
        return xp.astype(chosen, xp.float32) >= level * (1 - ROUNDING)

    def amplitude(self, batch: NDArray[np.int64]) -> Array:
        """Measured amplitude (b, N, N) of the counts; zero at bad pixels."""
        xp = self.xp
        values = xp.sqrt(self.relative(batch))
        # a bad pixel may be NaN, which a product with zero would not remove
        return without(values, self.bad, xp)


def without(values: Array, bad: Array | None, xp: Any) -> Array:
    """Set values (..., N, N) to zero at bad pixels (N, N)."""
    return values if bad is None else xp.where(bad, xp.zeros_like(values), values)
