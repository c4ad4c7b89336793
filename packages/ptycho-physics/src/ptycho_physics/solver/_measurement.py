"""The measured patterns: amplitudes of a batch, at a mean of one count per pattern."""

from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from ptycho_physics._namespace import Array, as_like, to_numpy
from ptycho_physics._scaling import photons_per_pattern
from ptycho_physics.solver._processes import ALONE, Processes

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
        Zero frequency in the centre; those of the patterns of this process. A NumPy array may stay
        in main memory while everything else is on a GPU.
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
    processes : Processes
        That share the patterns.
    patterns : int
        Number of patterns of all processes.
    like : array
        Of the library and device that the solver works with; by default the counts.
    """

    counts: Array
    photons: float
    bad: Array | None
    xp: Any
    held_out: NDArray[np.int64] = field(factory=lambda: np.empty(0, dtype=np.int64))
    unfitted: Array | None = None
    uncompared: Array | None = None
    processes: Processes = ALONE
    patterns: int = field()
    like: Array = field()

    @patterns.default
    def _all_here(self) -> int:
        return int(self.counts.shape[0])

    @like.default
    def _where_the_counts_are(self) -> Array:
        return self.counts

    @classmethod
    def of(
        cls,
        counts: Array,
        probe: Array,
        mask: Array | None,
        xp: Any,
        processes: Processes = ALONE,
    ) -> "Measurement":
        """Determine the scale of a scan.

        Raises
        ------
        InvalidValueError
            If all counts are zero, or the bad pixels leave no light.
        """
        if isinstance(counts, np.ndarray):
            mask_there = None if mask is None else to_numpy(mask)
            photons = photons_per_pattern(counts, to_numpy(probe), mask_there)
        else:
            photons = photons_per_pattern(counts, probe, mask, xp=xp)
        patterns = len(counts)
        if not processes.alone:
            light, number = processes.total(np.array([photons * patterns, patterns])).tolist()
            photons, patterns = light / number, round(number)
        return cls(
            counts=counts,
            patterns=patterns,
            like=probe,
            photons=photons,
            bad=mask,
            xp=xp,
            processes=processes,
        )

    def __len__(self) -> int:
        """Return the number of patterns of all processes."""
        return self.patterns

    @property
    def used(self) -> NDArray[np.int64]:
        """Patterns that are not held out, ascending."""
        return np.setdiff1d(np.arange(len(self)), self.held_out, assume_unique=True)

    def mine(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some patterns that this process has."""
        return self.processes.mine(which)

    def spread(self, most: int) -> NDArray[np.int64]:
        """Return patterns of this process that are used and lie all over the scan.

        At most ``most`` in all processes together, and as many in each.
        """
        mine = self.mine(self.used)
        number = min(len(mine), max(most // self.processes.number, 1))
        number = -round(self.processes.largest(-number))
        return mine[np.linspace(0, len(mine) - 1, number).astype(np.int64)]

    def ones(self) -> Array:
        """Return a one for each pattern of the scan, (n,) float32."""
        ones = self.xp.ones(self.patterns, dtype=self.xp.float32)
        return as_like(ones, self.like, self.xp)

    def relative(self, batch: NDArray[np.int64]) -> Array:
        """Measured counts (b, N, N), a new float32 array, at a mean of one per pattern."""
        values = self._counts(batch)
        values *= 1 / self.photons
        return values

    def saturated(self, batch: NDArray[np.int64], level: float) -> Array:
        """Where patterns (b, N, N) have at least ``level`` counts, but for rounding."""
        return self._counts(batch) >= level * (1 - ROUNDING)

    def _counts(self, batch: NDArray[np.int64]) -> Array:
        """Return the counts (b, N, N) of patterns of this process, a new float32 array."""
        xp, rows = self.xp, self.processes.rows(batch)
        if isinstance(self.counts, np.ndarray):
            chosen = np.take(self.counts, rows, axis=0).astype(np.float32, copy=False)
            return as_like(xp.asarray(chosen), self.like, xp)
        chosen = xp.take(self.counts, as_like(xp.asarray(rows), self.counts, xp), axis=0)
        return xp.astype(chosen, xp.float32)

    def amplitude(self, batch: NDArray[np.int64]) -> Array:
        """Measured amplitude (b, N, N) of the counts; zero at bad pixels."""
        xp = self.xp
        values = xp.sqrt(self.relative(batch))
        # a bad pixel may be NaN, which a product with zero would not remove
        return without(values, self.bad, xp)


def without(values: Array, bad: Array | None, xp: Any) -> Array:
    """Set values (..., N, N) to zero at bad pixels (N, N)."""
    return values if bad is None else xp.where(bad, xp.zeros_like(values), values)
