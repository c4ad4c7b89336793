"""Validate incoming batches of patterns and estimate the mean intensity."""

import math
from typing import Any

import numpy as np
import torch
from attrs import evolve, frozen
from numpy.typing import ArrayLike, NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_physics import detected_fraction
from torch import Tensor


@frozen(kw_only=True)
class Light:
    """Mean intensity per pattern, given or estimated from the batches.

    Attributes
    ----------
    given : float or None
        Given mean; overrides the estimate from the batches.
    detected : float
        Fraction of the intensity that falls on good pixels.
    first : float or None
        Mean of the first batch.
    total : float
        Sum over good pixels so far.
    number : int
        Number of patterns so far.
    """

    given: float | None = None
    detected: float = 1.0
    first: float | None = None
    total: float = 0.0
    number: int = 0

    @property
    def reference(self) -> float:
        """Mean to which the network's input is normalised: constant, so that patches match."""
        found = self.first if self.given is None else self.given
        if found is None:
            raise InvalidValueError(
                "photons", "a mean per pattern", "none", "give it, or add patterns first"
            )
        return found

    @property
    def mean(self) -> float:
        """The best estimate so far."""
        if self.given is None and self.number:
            return self.total / self.number / self.detected
        return self.reference

    @property
    def gain(self) -> float:
        """Factor that converts an object from units of `reference` to units of `mean`."""
        known = self.given is not None or not self.number
        return 1.0 if known else math.sqrt(self.reference / self.mean)

    def after(self, light: float, number: int) -> "Light":
        """Return the estimate after a batch of ``number`` patterns with total intensity ``light``.

        Raises
        ------
        InvalidValueError
            If the first batch has no intensity and no mean was given.
        """
        if self.given is None and self.first is None and not light > 0:
            rule = "not all dark in the first batch"
            raise InvalidValueError("patterns", rule, "zero in every pattern")
        first = light / number / self.detected if self.first is None else self.first
        return evolve(self, first=first, total=self.total + light, number=self.number + number)


def share_detected(probe: Tensor, bad_pixels: Tensor) -> float:
    """Return the fraction of a probe's intensity on good pixels: `detected_fraction`."""
    return detected_fraction(probe, bad_pixels) if bool(bad_pixels.any()) else 1.0


def take_in(
    patterns: ArrayLike | Tensor,
    positions: NDArray[np.float64],
    bad_pixels: Tensor,
    domain: str,
) -> tuple[Tensor, float]:
    """Return a batch as counts on the device, and its total intensity.

    Parameters
    ----------
    patterns : (k, N, N) array or tensor
        Patterns of any real type.
    positions : (k, 2) float64 array
        Positions; only checked.
    bad_pixels : (N, N) bool tensor
        True where a pixel is bad and becomes zero. Its device is that of the result.
    domain : {"counts", "amplitude"}
        What the patterns are. Amplitudes are squared.

    Returns
    -------
    counts : (k, N, N) float32 tensor
        A copy.
    light : float

    Raises
    ------
    InvalidValueError
        If the shapes do not match, or a value is negative or not finite.
    """
    given = patterns if isinstance(patterns, Tensor) else torch.from_numpy(_plain(patterns))
    if given.is_complex():
        raise InvalidValueError(
            "patterns", "real numbers", str(given.dtype), "take counts or amplitudes"
        )
    _check_shapes(given, positions, bad_pixels.shape[-1])
    values = given.to(bad_pixels.device, torch.float32).masked_fill(bad_pixels, 0.0)
    counts = values.square() if domain == "amplitude" else values
    # One transfer; float64 only after it, because not every device supports it.
    seen = torch.stack([values.amin((1, 2)), counts.sum((1, 2))]).cpu().double()
    lowest, light = seen.numpy()
    wrong = np.flatnonzero(~((lowest >= 0) & np.isfinite(light)))
    if len(wrong):
        first = wrong[0]
        found = light[first] if lowest[first] >= 0 else lowest[first]
        raise InvalidValueError(
            "patterns",
            f"{domain} >= 0 and finite",
            f"{found:g} in pattern {first}",
            "set it to 0, or mark the pixel in bad_pixels",
        )
    return counts, float(light.sum())


def _plain(patterns: ArrayLike) -> NDArray[Any]:
    """Return patterns as torch needs them: native, contiguous, writable; copied only if needed."""
    values = np.asarray(patterns)
    dtype = values.dtype if values.dtype.kind == "c" else np.float32
    return np.require(values, dtype, ["C", "W", "E"])


def _check_shapes(patterns: Tensor, positions: NDArray[np.float64], N: int) -> None:
    if patterns.ndim != 3 or patterns.shape[1:] != (N, N):
        rule = f"of shape (k, {N}, {N})"
        raise InvalidValueError("patterns", rule, str(tuple(patterns.shape)))
    finite = np.isfinite(positions).all()
    if positions.shape != (len(patterns), 2) or not finite:
        raise InvalidValueError(
            "positions",
            f"finite (x, y) of {len(patterns)} patterns, shape ({len(patterns)}, 2)",
            f"shape {positions.shape}" + ("" if finite else " with NaN or infinity"),
        )
