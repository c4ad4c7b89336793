"""What the checks know of a scan: each quantity is measured once, and only if a check asks."""

from functools import cached_property
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from ptycho_data import Scan, read_patterns

from ptycho_core.analysis.centring import RegionIntensities, region_intensities
from ptycho_core.analysis.placement import Placement
from ptycho_core.analysis.scan_statistics import Overlap, overlap
from ptycho_core.cautions._pixel_faults import (
    DeadPixels,
    dead_pixels,
    hot_pixels,
    stuck_pixels,
)

__all__ = ["SAMPLED_PATTERNS", "ScanFacts"]

#: Patterns that are read, spread evenly over the scan. More would cost more than 2 % of a run.
SAMPLED_PATTERNS = 64
#: Scans of one file whose positions are looked at.
EXAMINED_SCANS = 16


@define(eq=False, slots=False)
class ScanFacts:
    """A scan and what is measured on it.

    Attributes
    ----------
    scan : Scan
    """

    scan: Scan = field()

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Indices (k,) of the sampled patterns, ascending."""
        n = self.scan.n
        return np.unique(np.linspace(0, n - 1, min(n, SAMPLED_PATTERNS)).astype(np.int64))

    @cached_property
    def raw(self) -> NDArray[Any]:
        """Sampled patterns (k, N, N) as they are stored, bad pixels included."""
        return read_patterns(self.scan.diffraction, self.rows)

    @cached_property
    def good(self) -> NDArray[np.bool_]:
        """Good pixels (N, N)."""
        bad = self.scan.bad_pixels
        return np.ones((self.scan.N, self.scan.N), bool) if bad is None else ~bad

    @cached_property
    def intensities(self) -> NDArray[np.float32]:
        """Sampled patterns (k, N, N) as intensities in the units of the file; 0 at bad pixels.

        Counts as they are, amplitudes squared.
        """
        values = read_patterns(self.scan.diffraction, self.rows, np.float32)
        if self.scan.domain == "amplitude":
            np.square(values, out=values)
        values[:, ~self.good] = 0
        return values

    @cached_property
    def mean_pattern(self) -> NDArray[np.float64]:
        """Mean (N, N) of `intensities`."""
        return np.asarray(self.intensities.mean(axis=0, dtype=np.float64))

    @cached_property
    def regions(self) -> RegionIntensities | None:
        """Intensity by region of the patterns; None if it cannot be measured."""
        return region_intensities(self.mean_pattern, self.good)

    @cached_property
    def usual_light(self) -> float:
        """Median sum of the patterns, in the units of the file."""
        return float(np.median(self.scan.intensity_totals))

    @cached_property
    def empty_beam(self) -> NDArray[np.float64] | None:
        """Far field (N, N) of the probe, with the sum of `mean_pattern` over sane pixels.

        None if the probe was made from the patterns, so that it cannot bear witness to them, or
        if no sane pixel sees it.
        """
        if self.scan.probe_made:
            return None
        field_ = np.fft.fft2(np.fft.ifftshift(self.scan.probe, axes=(-2, -1)), norm="ortho")
        pattern = np.fft.fftshift(np.sum(np.abs(field_) ** 2, axis=0, dtype=np.float64))
        sane = self.good & ~self.stuck
        total = float(pattern[sane].sum())
        if not total > 0:
            return None
        return np.asarray(pattern * (float(self.mean_pattern[sane].sum()) / total))

    @cached_property
    def stuck(self) -> NDArray[np.bool_]:
        """Good pixels (N, N) that repeat one value far above those around them."""
        return stuck_pixels(self.raw, self.mean_pattern, self.good)

    @cached_property
    def dead(self) -> DeadPixels:
        """Good pixels that are always zero among lit ones."""
        lit = np.count_nonzero(self.intensities, axis=0) / len(self.rows)
        good = self.good & ~self.stuck
        return dead_pixels(lit, self.mean_pattern, good, len(self.rows), self.empty_beam)

    @cached_property
    def hot(self) -> NDArray[np.bool_]:
        """Good pixels (N, N) that are far brighter than those around them in most patterns."""
        middle = np.median(self.intensities, axis=0).astype(np.float64)
        good = self.good & ~self.stuck & ~self.dead.all
        return hot_pixels(middle, self.mean_pattern, good, self.empty_beam)

    @cached_property
    def clean(self) -> NDArray[np.bool_]:
        """Good pixels (N, N) without those that are stuck, hot or dead."""
        return self.good & ~self.stuck & ~self.hot & ~self.dead.all

    @cached_property
    def parts(self) -> dict[int, "ScanFacts"]:
        """Scans of the file by number, at most `EXAMINED_SCANS` of them."""
        numbers = self.scan.scan_numbers
        if len(numbers) == 1:
            return {numbers[0]: self}
        return {k: ScanFacts(self.scan.single(k)) for k in numbers[:EXAMINED_SCANS]}

    @cached_property
    def placement(self) -> Placement:
        """Places of the patterns, which must be those of one scan."""
        return Placement(self.scan.positions)

    @cached_property
    def overlap(self) -> Overlap | None:
        """Overlap of neighbouring places; None if it is not known or there is one place."""
        return overlap(self.scan, self.placement if len(self.scan.scan_numbers) == 1 else None)
