"""Batches of patterns as a detector gives them: checked, and what their light tells."""

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
    """Mean light per pattern, as it was given or as the batches show it.

    Attributes
    ----------
    given : float or None
        Then the batches do not matter.
    detected : float
        Share of the light that falls on good pixels.
    first : float or None
        Mean of the first batch.
    total : float
        What good pixels have seen so far.
    number : int
        Patterns so far.
    """

    given: float | None = None
    detected: float = 1.0
    first: float | None = None
    total: float = 0.0
    number: int = 0

    @property
    def reference(self) -> float:
        """What the network's input is relative to: it stays, so that patches fit each other."""
        found = self.first if self.given is None else self.given
        if found is None:
            raise InvalidValueError(
                "photons", "a mean per pattern", "none", "give it, or add patterns first"
            )
        return found

    @property
    def mean(self) -> float:
        """What is known best."""
        if self.given is None and self.number:
            return self.total / self.number / self.detected
        return self.reference

    @property
    def gain(self) -> float:
        """Factor on an object in units of `reference` that brings it to those of `mean`."""
        known = self.given is not None or not self.number
        return 1.0 if known else math.sqrt(self.reference / self.mean)

    def after(self, light: float, number: int) -> "Light":
        """Return what is known after a batch of ``number`` patterns with ``light`` in all.

        Raises
        ------
        InvalidValueError
            If it is the first one and has none, unless a mean was given.
        """
        if self.given is None and self.first is None and not light > 0:
            rule = "not all dark in the first batch"
            raise InvalidValueError("patterns", rule, "zero in every pattern")
        first = light / number / self.detected if self.first is None else self.first
        return evolve(self, first=first, total=self.total + light, number=self.number + number)


def share_detected(probe: Tensor, bad_pixels: Tensor) -> float:
    """Return the share of a probe's light that falls on good pixels: `detected_fraction`."""
    return detected_fraction(probe, bad_pixels) if bool(bad_pixels.any()) else 1.0


def take_in(
    patterns: ArrayLike | Tensor,
    positions: NDArray[np.float64],
    bad_pixels: Tensor,
    domain: str,
) -> tuple[Tensor, float]:
    """Return a batch as counts on the device, and the sum of its light.

    Parameters
    ----------
    patterns : (k, N, N) array or tensor
        Of any real type.
    positions : (k, 2) float64 array
        Only looked at.
    bad_pixels : (N, N) bool tensor
        What is there does not matter, and becomes zero. Its device is that of the result.
    domain : {"counts", "amplitude"}
        What the patterns are. Amplitudes are squared.

    Returns
    -------
    counts : (k, N, N) float32 tensor
        In memory of their own.
    light : float

    Raises
    ------
    InvalidValueError
        If the shapes do not fit, or a value is negative or not finite.
    """
    given = patterns if isinstance(patterns, Tensor) else torch.from_numpy(_plain(patterns))
    if given.is_complex():
        raise InvalidValueError(
            "patterns", "real numbers", str(given.dtype), "take counts or amplitudes"
        )
    _check_shapes(given, positions, bad_pixels.shape[-1])
    values = given.to(bad_pixels.device, torch.float32).masked_fill(bad_pixels, 0.0)
    counts = values.square() if domain == "amplitude" else values
    # One transfer; and float64 only after it, because not every device has that.
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
    """Return patterns as torch takes them: native, contiguous, writable; a copy only if need be."""
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
