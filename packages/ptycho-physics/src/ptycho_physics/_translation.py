"""Translation of images by a fraction of a pixel: bilinear, or by a phase ramp on the spectrum."""

import math
from typing import Any, Literal

import numpy as np
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._namespace import (
    Array,
    complex_dtype,
    complex_of,
    constant,
    fft2,
    ifft2,
    namespace,
    real_dtype,
)

Interpolation = Literal["bilinear", "fourier"]
"""Interpolation of an image between its pixels."""


def check_interpolation(interpolation: str) -> None:
    """Refuse an unknown interpolation."""
    if interpolation not in ("bilinear", "fourier"):
        raise InvalidValueError("interpolation", "'bilinear' or 'fourier'", describe(interpolation))


def translate(
    images: Array,
    shifts: Array,
    *,
    interpolation: Interpolation = "bilinear",
    xp: Any | None = None,
) -> Array:
    r"""Translate images by a real number of pixels.

    Bilinear: the image is zero outside. Fourier: the image is periodic, and detail up to the
    Nyquist frequency is kept (trigonometric interpolation: A.
    Oppenheim and R. Schafer, *Discrete-Time Signal Processing*, ch. 4; the Nyquist frequency, which
    stands for both its signs, takes the mean of their two phases). For both, translating
    back is the adjoint.

    Parameters
    ----------
    images : (..., H, W) array
        Real or complex.
    shifts : (..., 2) real array
        ``(dx, dy)`` in pixels: what was at ``(x, y)`` comes to ``(x + dx, y + dy)``. Leading axes
        broadcast against those of the images.
    interpolation : {"bilinear", "fourier"}

    Returns
    -------
    (..., H, W) array
        Same dtype as ``images``. Differentiable with respect to images and shifts.

    Raises
    ------
    InvalidValueError
        If the interpolation is unknown.
    """
    xp = namespace(images, shifts, xp=xp)
    check_interpolation(interpolation)
    H, W = images.shape[-2:]
    dx, dy = shifts[..., 0], shifts[..., 1]
    if interpolation == "bilinear":
        down, across = (_hats(n, d, images, xp) for n, d in ((H, dy), (W, dx)))
        return down @ images @ xp.permute_dims(across, _swapped(across))
    is_complex = xp.isdtype(images.dtype, "complex floating")
    spectrum = fft2(images if is_complex else xp.astype(images, complex_dtype(images, xp)), xp)
    ramps = _ramp(H, dy, images, xp)[..., :, None] * _ramp(W, dx, images, xp)[..., None, :]
    moved = ifft2(spectrum * ramps, xp)
    return moved if is_complex else xp.real(moved)


def _swapped(matrices: Array) -> tuple[int, ...]:
    """Return the order of axes that exchanges the last two."""
    n = len(matrices.shape)
    return (*range(n - 2), n - 1, n - 2)


def _hats(n: int, shifts: Array, like: Array, xp: Any) -> Array:
    """Return matrices (..., n, n) that interpolate linearly: hat functions of the distance."""
    distance = constant(np.subtract.outer(np.arange(n), np.arange(n)), shifts, xp)
    weights = xp.clip(1 - xp.abs(distance - shifts[..., None, None]), 0.0)
    return xp.astype(xp.astype(weights, real_dtype(like, xp)), like.dtype)


def _ramp(n: int, shifts: Array, like: Array, xp: Any) -> Array:
    """Return the factors (..., n) of the spectrum that move an image of n pixels."""
    frequency = np.fft.fftfreq(n)
    angle = constant(-2 * math.pi * frequency, shifts, xp) * shifts[..., None]
    imaginary = xp.sin(angle) * constant(np.abs(frequency) < 0.5, shifts, xp)
    dtype = real_dtype(like, xp)
    return complex_of(xp.astype(xp.cos(angle), dtype), xp.astype(imaginary, dtype), xp)
