"""An estimate of the object from all patterns of a scan, for networks that start from one.

A few epochs of the solver from a flat object. Neighbouring patterns leave slow phases open, above
all under a strongly divergent beam; the whole scan determines them. The network then removes noise
and what few epochs leave.

A large scan is divided into compact parts, each with an estimate of its own, so that memory does
not grow with the number of patterns.
"""

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import Scan
from ptycho_physics import (
    Canvas,
    Solution,
    extract_patches,
    few_photons,
    merge_patches,
    noise_relaxation,
    normalise_probe,
    probe_intensity,
    solve,
)

from ptycho_core.batches import spatial_batches

__all__ = ["ScanEstimate", "estimate_epochs"]

BATCH = 8
"""Patterns per update of the solver: small batches converge in the fewest epochs."""

UPDATES = 400
"""Updates that a scan needs; a short one therefore needs more epochs."""

FEWEST, MOST = 8, 200
"""Limits of the number of epochs."""

SLOW, LONGER = 3e-3, 4
"""Fall of the R-factor in an epoch, as a part of it, above which a scan has not converged, as under
a strongly divergent beam; and by how much its estimate takes longer at most."""

AVERAGED = 2
"""By how much it takes longer where photons are few: the solver averages over the epochs there."""

OFFSET = 0.1
"""Offset of the solver where photons are few: the network removes noise better than a bias."""

DARK = 1e-6
"""Light, as a part of the brightest, below which a pixel was not measured."""

PART = 2**27
"""Bytes of the counts (float32) of a part."""


def estimate_epochs(patterns: int) -> int:
    """Return the number of epochs for a number of patterns."""
    return min(max(round(UPDATES * BATCH / patterns), FEWEST), MOST)


@frozen(eq=False)
class _Patterns:
    """Patterns of one part, and how they were measured.

    Attributes
    ----------
    counts : (n, N, N) float32 array
    positions : (n, 2) float64 array
    probe : (M, N, N) complex64 array
    photons : float
        Mean counts per pattern of the scan.
    bad_pixels : (N, N) bool array, or None
    """

    counts: NDArray[np.float32]
    positions: NDArray[np.float64]
    probe: NDArray[np.complex64]
    photons: float
    bad_pixels: NDArray[np.bool_] | None

    @property
    def canvas(self) -> Canvas:
        """The canvas that the patterns cover."""
        return Canvas.covering(self.positions, self.probe.shape[-1])

    @property
    def few(self) -> bool:
        """Whether photons are few."""
        return bool(few_photons(self.photons, self.probe))

    def solved(self) -> NDArray[np.complex64]:
        """Return the object from a flat one; a scan that has not converged gets more epochs."""
        epochs = estimate_epochs(len(self.counts))
        if self.few:
            epochs = min(AVERAGED * epochs, MOST)
        solution = self.after(epochs)
        *_, before, _, last = solution.r_factors
        more = min(LONGER * epochs, MOST) - epochs
        if more > 0 and before - last > 2 * SLOW * last:
            start = np.asarray(solution.object)
            solution = self.after(more, start, tolerance=SLOW, patience=2)
        return np.asarray(solution.object)

    def after(
        self, epochs: int, initial: NDArray[np.complex64] | None = None, **stopping: Any
    ) -> Solution:
        """Return the solution after some epochs, from a flat object or that given."""
        return solve(
            self.counts,
            self.positions,
            self.probe,
            initial=initial,
            epochs=epochs,
            batch_size=BATCH,
            relaxation=noise_relaxation(self.photons, self.probe),
            average=self.few,
            offset=OFFSET if self.few else 0.0,
            mask=self.bad_pixels,
            **stopping,
        )

    def light(self) -> NDArray[np.float32]:
        """Return the illumination of their canvas by a probe of unit power."""
        beam = probe_intensity(normalise_probe(self.probe)).astype(np.float32)
        beams = np.broadcast_to(beam, (len(self.positions), *beam.shape))
        where = self.canvas.local(self.positions).astype(np.float32)
        return np.asarray(merge_patches(beams, where, self.canvas.shape))


@frozen(eq=False)
class _Part:
    """The estimate of the object from some patterns.

    Attributes
    ----------
    canvas : Canvas
    object_ : (H, W) complex64 array
    light : (H, W) float32 array
        Illumination by these patterns, with a probe of unit power.
    """

    canvas: Canvas
    object_: NDArray[np.complex64]
    light: NDArray[np.float32]

    @classmethod
    def of(cls, patterns: _Patterns) -> "_Part":
        return cls(patterns.canvas, patterns.solved(), patterns.light())

    def with_more(self, patterns: _Patterns) -> "_Part":
        """Go on with further patterns: what they share with those before needs few epochs."""
        here = patterns.canvas
        canvas = self.canvas.union(here)
        object_, light = np.ones(canvas.shape, np.complex64), np.zeros(canvas.shape, np.float32)
        before, window = canvas.window(self.canvas), canvas.window(here)
        object_[before], light[before] = self.object_, self.light
        start, known = object_[window], light[window]
        if known.max() > 0:
            level = np.sum(known * np.abs(start)) / known.sum()
            level = level * np.exp(1j * np.angle(np.sum(known * start)))
            start = np.where(known > DARK * known.max(), start, level).astype(np.complex64)
            found = np.asarray(patterns.after(FEWEST, start).object)
            # the scale is that of the counts of these patterns, the phase is free
            factor = np.vdot(known * found, start) / np.vdot(known * found, found)
            found = (factor * found).astype(np.complex64)
        else:
            found = patterns.solved()
        more = patterns.light()
        object_[window] = np.where(more > DARK * more.max(), found, object_[window])
        light[window] += more
        return _Part(canvas, object_, light)


@frozen(eq=False)
class ScanEstimate:
    """Estimates of the object of a scan, of one or several compact parts of it.

    Attributes
    ----------
    positions : (n, 2) float64 array
        Positions of all patterns of the scan.
    N : int
        Side of a pattern.
    part : (n,) int64 array
        Number of the part of each pattern; -1 for one that was not used.
    parts : list
        The estimate of each part.
    """

    positions: NDArray[np.float64]
    N: int
    part: NDArray[np.int64]
    parts: list[_Part]

    @classmethod
    def of(
        cls,
        scan: Scan,
        indices: NDArray[np.int64],
        probe: NDArray[np.complex64],
        *,
        photons: float,
        nphotons: float | None = None,
    ) -> "ScanEstimate":
        """Estimate the object of a scan.

        Parameters
        ----------
        scan
            Patterns and positions.
        indices : (k,) int64
            Patterns to use.
        probe : (M, N, N) complex64
            Probe modes.
        photons
            Mean counts per pattern.
        nphotons
            Mean photons per pattern of a scan of amplitudes that does not state it.
        """
        positions = scan.positions
        part, parts = np.full(len(positions), -1), []
        most = max(1, PART // (4 * scan.N**2))
        for number, rows in enumerate(spatial_batches(positions[indices], most)):
            chosen = np.sort(indices[rows])
            counts = scan.counts(chosen, nphotons)
            patterns = _Patterns(counts, positions[chosen], probe, photons, scan.bad_pixels)
            parts.append(_Part.of(patterns))
            part[chosen] = number
        return cls(positions, scan.N, part, parts)

    @classmethod
    def of_patterns(
        cls,
        counts: NDArray[np.float32],
        positions: NDArray[np.float64],
        probe: NDArray[np.complex64],
        *,
        photons: float,
        bad_pixels: NDArray[np.bool_] | None = None,
        before: "ScanEstimate | None" = None,
    ) -> "ScanEstimate":
        """Estimate the object from counts (n, N, N) at positions (n, 2), all in one part.

        ``before`` is such an estimate from earlier patterns, to go on from.
        """
        make = _Part.of if before is None else before.parts[0].with_more
        part = make(_Patterns(counts, positions, probe, photons, bad_pixels))
        return cls(positions, probe.shape[-1], np.zeros(len(positions), np.int64), [part])

    def patches(
        self, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
        """Return what a network starts from: object and light under some patterns.

        Parameters
        ----------
        indices : (...,) int64
            Patterns, among those that were used.

        Returns
        -------
        start : (..., N, N) complex64
        light : (..., N, N) float32
        """
        flat, N = indices.reshape(-1), self.N
        start = np.empty((len(flat), N, N), np.complex64)
        light = np.empty((len(flat), N, N), np.float32)
        for number in np.unique(self.part[flat]):
            found, rows = self.parts[number], np.flatnonzero(self.part[flat] == number)
            where = found.canvas.local(self.positions[flat[rows]]).astype(np.float32)
            start[rows] = extract_patches(found.object_, where, N)
            light[rows] = extract_patches(found.light, where, N)
        shape = (*indices.shape, N, N)
        return start.reshape(shape), light.reshape(shape)
