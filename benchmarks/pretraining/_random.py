"""Random numbers and random fields that scenes are made of."""

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Rng = np.random.Generator


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniformly distributed."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def smooth_field(rng: Rng, shape: tuple[int, int], length: float) -> Real:
    """Draw a periodic Gaussian random field of mean zero and variance one.

    Parameters
    ----------
    rng
        Source of the numbers.
    shape
        Its shape.
    length
        Correlation length in pixels.
    """
    spatial = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    return _filtered(rng, np.exp(-((np.pi * length * spatial) ** 2)))


def power_law_field(rng: Rng, shape: tuple[int, int], length: float, exponent: float) -> Real:
    """Draw a field whose amplitude spectrum falls as ``1 / q**exponent`` above ``1 / length``."""
    spatial = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    return _filtered(rng, 1 / np.maximum(spatial, 1 / length) ** exponent)


def _filtered(rng: Rng, response: Real) -> Real:
    noise = rng.standard_normal(response.shape)
    field = np.fft.ifft2(np.fft.fft2(noise) * response).real
    field -= field.mean()
    return np.asarray(field / (field.std() + 1e-9))


def soft_edge(distance: Real, width: float) -> Real:
    """Return a step from zero to one at distance zero, as wide as ``width``."""
    return np.asarray(1 / (1 + np.exp(-np.clip(distance / width, -40, 40))))
