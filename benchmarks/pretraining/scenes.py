"""Random scans: probe, sample, positions, dose, and what is wrong with a measurement."""

from collections.abc import Callable

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_core.scan_estimate import ScanEstimate
from ptycho_physics import Canvas, expected_counts, extract_patches, lit_pixels

from pretraining._random import Real, Rng, log_uniform
from pretraining.probes import random_probe, slightly_wrong
from pretraining.samples import random_sample

SIZES, SHARES = (64, 128), (0.84, 0.16)
"""Sides of a pattern, and how often each occurs."""

SPARSE = 0.35
"""Share of the scans that have few patterns, which hardly overlap."""

DOSES = (3e2, 1e4), (1e3, 1e6), (3e2, 1e8)
DOSE_SHARES = (0.3, 0.45, 0.25)
"""Ranges of photons per pattern, and how often each occurs."""

MOST_COUNTS = 1e9
"""Of a pixel: more cannot be drawn."""

MOST_HIDDEN = 0.35
"""Largest share of the counts that bad pixels hide."""


@frozen(eq=False, kw_only=True)
class Scene:
    """A simulated scan, with what a network is given and what it should find.

    Attributes
    ----------
    counts : (n, N, N) float32 array
        Zero at bad pixels.
    positions : (n, 2) float64 array
        As stated, on `canvas`.
    probe : (M, N, N) complex64 array
        As stated, at unit power.
    photons : float
        Mean counts per pattern, those at bad pixels included.
    bad_pixels : (N, N) bool array
    canvas : (int, int)
        Shape of the object.
    truth : (H, W) complex64 array
        The object, in the unit of the network: the mean transmitted power is one.
    overlap : float
        Distance of neighbours in diameters of the lit area.
    """

    counts: NDArray[np.float32]
    positions: Real
    probe: NDArray[np.complex64]
    photons: float
    bad_pixels: NDArray[np.bool_]
    canvas: tuple[int, int]
    truth: NDArray[np.complex64]
    overlap: float

    @property
    def N(self) -> int:  # noqa: N802  the field's own name
        """Side of a pattern."""
        return int(self.counts.shape[-1])

    def estimate(self) -> ScanEstimate:
        """Return what a network for any scan starts from."""
        return ScanEstimate.of_patterns(
            self.counts,
            self.positions,
            self.probe,
            photons=self.photons,
            bad_pixels=self.bad_pixels if self.bad_pixels.any() else None,
        )


@frozen(kw_only=True)
class Kinds:
    """Which scenes there are.

    Attributes
    ----------
    probe, sample
        Draw a probe of a side, and a sample of a shape.
    faults
        Whether positions and probes may be slightly wrong, beams fluctuate, and detectors have a
        background and bad pixels.
    """

    probe: Callable[[Rng, int], NDArray[np.complex64]] = random_probe
    sample: Callable[[Rng, tuple[int, int]], NDArray[np.complex64]] = random_sample
    faults: bool = True


ALL = Kinds()


def make_scene(seed: int, N: int | None = None, kinds: Kinds = ALL) -> Scene:
    """Simulate the scan of a seed, of patterns of N pixels if given."""
    rng = np.random.default_rng(seed)
    N = N or int(rng.choice(SIZES, p=SHARES))
    probe = kinds.probe(rng, N)
    diameter = 2 * np.sqrt(float(lit_pixels(probe)) / np.pi)
    number, step = _extent(rng, N, diameter)
    points = _positions(rng, number, step)
    canvas = Canvas.covering(points, N)
    stated = canvas.local(points)
    sample = kinds.sample(rng, canvas.shape)
    true = stated
    if kinds.faults and rng.random() < 0.3:
        true = stated + rng.normal(size=stated.shape) * log_uniform(rng, 0.05, 1)
        true = np.clip(true, N // 2, np.array(canvas.shape[::-1]) - N // 2 - 1.001)
    patches = extract_patches(sample, true.astype(np.float32), N)
    rate = np.asarray(expected_counts(patches, probe, 1.0), np.float64)
    transmitted = rate.sum(axis=(1, 2)).mean()
    dose = log_uniform(rng, *DOSES[rng.choice(len(DOSES), p=DOSE_SHARES)])
    measured, bad_pixels = rate * dose / transmitted, np.zeros((N, N), dtype=bool)
    if kinds.faults:
        measured = _disturbed(rng, measured, dose)
    counts = rng.poisson(np.minimum(measured, MOST_COUNTS)).astype(np.float32)
    if kinds.faults:
        bad_pixels = _bad_pixels(rng, rate.mean(axis=0))
    counts[:, bad_pixels] = 0
    return Scene(
        counts=counts,
        positions=stated,
        probe=slightly_wrong(rng, probe) if kinds.faults and rng.random() < 0.3 else probe,
        photons=dose if bad_pixels.any() else float(counts.sum(axis=(1, 2)).mean()),
        bad_pixels=bad_pixels,
        canvas=canvas.shape,
        truth=(sample / np.sqrt(transmitted)).astype(np.complex64),
        overlap=step / diameter,
    )


def _extent(rng: Rng, N: int, diameter: float) -> tuple[int, float]:
    """Draw the number of patterns, and the distance of neighbours under a beam of a diameter."""
    if rng.random() < SPARSE:
        return int(log_uniform(rng, 9, 80)), diameter * rng.uniform(0.5, 1.25)
    step = max(1.5, diameter * log_uniform(rng, 0.06, 0.7))
    return int(log_uniform(rng, 40, 260) if N == 64 else log_uniform(rng, 32, 100)), step


def _positions(rng: Rng, number: int, step: float) -> Real:
    """Draw positions (n, 2): random, a raster with errors, or a spiral."""
    kind, aspect = int(rng.integers(3)), np.sqrt(log_uniform(rng, 0.6, 1.6))
    size = np.array([aspect, 1 / aspect]) * np.sqrt(number) * step
    if kind == 0:
        return rng.uniform(0, 1, (number, 2)) * size
    if kind == 1:
        columns = max(1, round(size[0] / step))
        raster = np.stack(np.divmod(np.arange(number), columns)[::-1], axis=-1) * step
        return np.asarray(
            raster + rng.normal(size=raster.shape) * step * rng.choice([0, 0.05, 0.25])
        )
    index = np.arange(number)
    angle, radius = index * np.pi * (3 - np.sqrt(5)), 0.56 * step * np.sqrt(index)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def _disturbed(rng: Rng, rate: Real, dose: float) -> Real:
    """Add a background to expected counts, and let the beam fluctuate, now and then."""
    if rng.random() < 0.15:
        rate = rate + dose * log_uniform(rng, 1e-7, 1e-5)
    if rng.random() < 0.1:
        rate = rate * np.clip(1 + 0.1 * rng.normal(size=(len(rate), 1, 1)), 0.3, None)
    return rate


def _bad_pixels(rng: Rng, mean: Real) -> NDArray[np.bool_]:
    """Draw bad pixels: scattered ones, lines, a beam stop; mostly none."""
    N, none = mean.shape[-1], np.zeros(mean.shape, dtype=bool)
    if rng.random() >= 0.2:
        return none
    bad = rng.random(mean.shape) < log_uniform(rng, 1e-3, 3e-2)
    if rng.random() < 0.4:
        first = rng.integers(0, N - 8)
        bad[first : first + rng.integers(1, 6)] = True
    if rng.random() < 0.2:
        y, x = np.mgrid[:N, :N] - N // 2
        bad |= np.hypot(x, y) < rng.uniform(1, 4)
    return none if mean[bad].sum() > MOST_HIDDEN * mean.sum() else bad
