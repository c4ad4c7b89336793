"""Fourier ring correlation."""

import math
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._namespace import to_numpy
from ptycho_physics.metrics._quality import Complex, _same_shape
from ptycho_physics.metrics._registration import taper

Real = NDArray[np.float64]

_CUTOFFS = ("cutoff_half", "cutoff_half_bit", "resolution_half", "resolution_half_bit")
_CROSSED = ("crossed_half", "crossed_half_bit")
_CURVES = ("frequency", "correlation", "half_bit")


@frozen(kw_only=True, eq=False)
class FourierRingCorrelation:
    """Correlation of two images, ring by ring of spatial frequency.

    Attributes
    ----------
    frequency : (k,) float64
        Radius of the rings in cycles per pixel, up to 0.5; the zero frequency is left out.
    correlation : (k,) float64
        In [-1, 1].
    half_bit : (k,) float64
        Half-bit threshold of each ring.
    """

    frequency: Real = field(repr=False)
    correlation: Real = field(repr=False)
    half_bit: Real = field(repr=False)

    @property
    def cutoff_half(self) -> float:
        """Frequency in cycles per pixel where the correlation first falls below 0.5.

        The last one where it does not: see ``crossed_half``.
        """
        return _crossing(self.frequency, self.correlation - 0.5)

    @property
    def cutoff_half_bit(self) -> float:
        """Frequency in cycles per pixel where it first falls below the half-bit threshold.

        The last one where it does not: see ``crossed_half_bit``.
        """
        return _crossing(self.frequency, self.correlation - self.half_bit)

    @property
    def crossed_half(self) -> bool:
        """Whether it falls below 0.5; if not, the resolution is better than ``resolution_half``."""
        return bool(np.any(self.correlation < 0.5))

    @property
    def crossed_half_bit(self) -> bool:
        """Whether it falls below the half-bit threshold."""
        return bool(np.any(self.correlation < self.half_bit))

    @property
    def resolution_half(self) -> float:
        """Full-period resolution in pixels by the 0.5 criterion, ``1 / cutoff_half``."""
        return _inverse(self.cutoff_half)

    @property
    def resolution_half_bit(self) -> float:
        """Full-period resolution in pixels by the half-bit criterion."""
        return _inverse(self.cutoff_half_bit)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers and curves, ready for JSON; infinities become None."""
        return {
            **{name: finite(getattr(self, name)) for name in _CUTOFFS},
            **{name: getattr(self, name) for name in _CROSSED},
            **{name: getattr(self, name).tolist() for name in _CURVES},
        }


def finite(value: float) -> float | None:
    """Return a number for JSON, which has no infinity."""
    return value if math.isfinite(value) else None


def _inverse(frequency: float) -> float:
    return 1 / frequency if frequency > 0 else float("inf")


def _crossing(frequency: Real, excess: Real) -> float:
    """Interpolate the first fall below zero; the last frequency if there is none, 0 if at once."""
    below = np.flatnonzero(excess < 0)
    if len(below) == 0:
        return float(frequency[-1])
    last = int(below[0])
    if last == 0:
        return 0.0
    fraction = excess[last - 1] / (excess[last - 1] - excess[last])
    return float(frequency[last - 1] + fraction * (frequency[last] - frequency[last - 1]))


def half_bit_threshold(count: Real) -> Real:
    """Correlation at which a ring carries half a bit of information per pixel.

    M. van Heel and M. Schatz, J. Struct. Biol. 151, 250 (2005), eq. 17.

    Parameters
    ----------
    count : (k,) real array
        Independent Fourier pixels in each ring.
    """
    root = np.sqrt(np.maximum(count, 1.0))
    return np.asarray((0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root))


def frc(a: Complex, b: Complex, *, window: float = 0.5) -> FourierRingCorrelation:
    """Fourier ring correlation of two aligned images.

    Per ring ``Re sum(A B*) / sqrt(sum|A|^2 sum|B|^2)`` of the images without their mean, tapered so
    that their borders do not correlate, and without a global phase between them. It measures
    resolution only if the two images are independent: a reconstruction and the truth, or the
    reconstructions of two halves of the patterns.

    Parameters
    ----------
    a, b : (H, W) arrays
        Real or complex.
    window
        Fraction of each side over which the taper (Tukey) rises and falls, in (0, 1].

    Returns
    -------
    FourierRingCorrelation
        Rings one pixel of the shorter side's spectrum wide; its thresholds count the pixels that
        are independent after tapering, and, for real images, not conjugate to another.

    Raises
    ------
    InvalidValueError
        If the shapes differ, or the images are smaller than 8 pixels.
    """
    a, b = to_numpy(a), to_numpy(b)
    _same_shape(a, b, "a", "b")
    if min(a.shape) < 8:
        raise InvalidValueError("a", "at least 8 pixels a side", f"shape {a.shape}")
    weight = taper((a.shape[0], a.shape[1]), window)
    first, second = (
        np.fft.fft2(weight * (part - np.sum(weight * part) / weight.sum())) for part in (a, b)
    )
    ring, rings = _rings((a.shape[0], a.shape[1]))
    cross = first * np.conj(second)
    phase = np.sum(cross)
    cross = cross * np.exp(-1j * np.angle(phase))

    def total(values: Real) -> Real:
        sums = np.bincount(ring.ravel(), values.ravel(), minlength=rings + 1)
        return np.asarray(sums[1 : rings + 1], dtype=np.float64)

    power = total(np.abs(first) ** 2) * total(np.abs(second) ** 2)
    correlation = total(cross.real) / np.sqrt(np.where(power > 0, power, 1.0))
    # A taper correlates neighbouring Fourier pixels: fewer are independent.
    independent = np.sum(weight**2) ** 2 / (weight.size * np.sum(weight**4))
    if not (np.iscomplexobj(a) or np.iscomplexobj(b)):
        independent = independent / 2
    return FourierRingCorrelation(
        frequency=np.arange(1, rings + 1) / min(a.shape),
        correlation=np.clip(correlation, -1.0, 1.0),
        half_bit=half_bit_threshold(total(np.ones(a.shape)) * independent),
    )


def _rings(shape: tuple[int, int]) -> tuple[NDArray[np.int64], int]:
    """Return the ring of each Fourier pixel, and the last complete ring."""
    v, u = (np.fft.fftfreq(n) for n in shape)
    radius = np.hypot(v[:, None], u[None, :])
    return np.rint(radius * min(shape)).astype(np.int64), min(shape) // 2
