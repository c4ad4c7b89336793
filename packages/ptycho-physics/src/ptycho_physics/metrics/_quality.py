"""Similarity of two images, computed with NumPy in double precision."""

import math

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._namespace import to_numpy
from ptycho_physics._shapes import blur

Real = NDArray[np.floating]
Complex = NDArray[np.complexfloating]

SSIM_SIGMA = 1.5
SSIM_RADIUS = 5


def _same_shape(
    a: NDArray[np.generic],
    b: NDArray[np.generic],
    name: str = "image",
    other: str = "reference",
) -> None:
    if a.shape != b.shape:
        rule = f"of the shape {b.shape} of {other}"
        raise InvalidValueError(name, rule, f"shape {a.shape}")


def wrap(phase: Real) -> NDArray[np.float64]:
    """Wrap angles in radians to [-pi, pi]."""
    return np.asarray(np.angle(np.exp(1j * np.asarray(phase, dtype=np.float64))))


def global_factor(image: Complex, reference: Complex) -> complex:
    """Return the complex factor that fits ``image`` best to ``reference``.

    Least squares: ``<image, reference> / <image, image>``; 0 for an image that is zero.

    Parameters
    ----------
    image, reference : (H, W) complex arrays

    Raises
    ------
    InvalidValueError
        If the shapes differ.
    """
    image, reference = to_numpy(image), to_numpy(reference)
    _same_shape(image, reference)
    power = float(np.vdot(image, image).real)
    return complex(np.vdot(image, reference) / power) if power > 0 else 0j


def complex_correlation(a: Complex, b: Complex, *, mean_removed: bool = False) -> float:
    """Return ``|<a, b>| / (|a| |b|)``, which no complex factor changes.

    Parameters
    ----------
    a, b : (H, W) complex arrays
    mean_removed
        Subtract the complex mean of each first, so that only structure contributes: a thin object
        correlates strongly with a flat one.

    Returns
    -------
    float
        In [0, 1]; 0 if one of the two is zero.

    Raises
    ------
    InvalidValueError
        If the shapes differ.
    """
    a, b = (to_numpy(part).astype(np.complex128) for part in (a, b))
    _same_shape(a, b, "a", "b")
    if mean_removed:
        a, b = a - a.mean(), b - b.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return min(float(abs(np.vdot(a, b))) / norm, 1.0) if norm > 0 else 0.0


def psnr(image: Real, reference: Real, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB, ``10 log10(data_range^2 / mean squared error)``.

    Parameters
    ----------
    image, reference : (H, W) real arrays
    data_range
        Difference between the largest and smallest value, > 0.

    Returns
    -------
    float
        Infinite for equal images.

    Raises
    ------
    InvalidValueError
        If the shapes differ or the range is not positive.
    """
    image, reference = to_numpy(image), to_numpy(reference)
    _same_shape(image, reference)
    _check_range(data_range)
    difference = np.asarray(image, dtype=np.float64) - reference
    error = float(np.mean(difference**2))
    return 10 * math.log10(data_range**2 / error) if error > 0 else math.inf


def _check_range(data_range: float) -> None:
    if not data_range > 0:
        raise InvalidValueError("data_range", "> 0", f"{data_range:g}")


def _smooth(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average with a Gaussian of 11 x 11 pixels, where it fits in the image."""
    inside = slice(SSIM_RADIUS, -SSIM_RADIUS)
    return blur(image, SSIM_SIGMA, SSIM_RADIUS)[inside, inside]


def ssim(image: Real, reference: Real, data_range: float) -> float:
    """Mean structural similarity (Z. Wang et al., IEEE Trans. Image Process. 13, 600, 2004).

    Gaussian window of 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03; averaged where the window
    lies inside the image.

    Parameters
    ----------
    image, reference : (H, W) real arrays
        At least 11 pixels on each side.
    data_range
        As for `psnr`.

    Returns
    -------
    float
        In [-1, 1]; 1 for equal images.

    Raises
    ------
    InvalidValueError
        If the shapes differ, are too small, or the range is not positive.
    """
    image, reference = to_numpy(image), to_numpy(reference)
    _same_shape(image, reference)
    _check_range(data_range)
    if min(image.shape) < 2 * SSIM_RADIUS + 1:
        rule = f"at least {2 * SSIM_RADIUS + 1} pixels a side"
        raise InvalidValueError("image", rule, f"shape {image.shape}")
    # Without a common offset the variances lose fewer digits.
    offset = float(np.mean(reference))
    a, b = np.asarray(image, np.float64) - offset, np.asarray(reference, np.float64) - offset
    mean_a, mean_b = _smooth(a), _smooth(b)
    variance_a = _smooth(a * a) - mean_a**2
    variance_b = _smooth(b * b) - mean_b**2
    covariance = _smooth(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_a, mean_b = mean_a + offset, mean_b + offset
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return float(np.mean(luminance * structure))
