"""The measured patterns: amplitudes of a batch, at a mean of one count per pattern."""

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_physics._namespace import Array, as_like
from ptycho_physics._scaling import photons_per_pattern

CHUNK = 64
"""Patterns at a time in a pass over the whole scan."""


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
    """

    counts: Array
    photons: float
    bad: Array | None
    xp: Any

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

    def amplitude(self, batch: NDArray[np.int64]) -> Array:
        """Measured amplitude (b, N, N), zero at bad pixels."""
        xp = self.xp
        chosen = xp.take(self.counts, as_like(xp.asarray(batch), self.counts, xp), axis=0)
        values = xp.astype(chosen, xp.float32)
        values *= 1 / self.photons
        values = xp.sqrt(values)
        # a bad pixel may be NaN, which a product with zero would not remove
        return values if self.bad is None else xp.where(self.bad, xp.zeros_like(values), values)
