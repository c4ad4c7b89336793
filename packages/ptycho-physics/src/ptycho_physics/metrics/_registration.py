"""Registration of two images: sub-pixel shift and linear phase ramp. NumPy only."""

import math

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics.metrics._quality import Complex, _same_shape, complex_correlation

Complex128 = NDArray[np.complex128]
Shift = tuple[float, float]

BORDER = 2
"""Pixels cut off in addition to the shift, where interpolation reaches across the border."""


def taper(shape: tuple[int, int], fraction: float = 0.5) -> NDArray[np.float64]:
    """Return a Tukey window: flat, with cosine slopes over ``fraction`` of each side."""
    rows, columns = (_taper(n, fraction) for n in shape)
    return np.asarray(rows[:, None] * columns[None, :])


def _taper(n: int, fraction: float) -> NDArray[np.float64]:
    inward = (np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5) / (fraction * n / 2)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(inward, 0, 1)))


def shift_image(image: Complex, shift: Shift) -> Complex128:
    """Shift an image by a real number of pixels.

    Multiplies the spectrum by a phase ramp. The image is continued by its mirror image, which fades
    to the mean, so that opposite borders do not cause ringing in each other.

    Parameters
    ----------
    image : (H, W) complex array
    shift
        ``(dx, dy)`` in pixels: what was at ``(x, y)`` comes to ``(x + dx, y + dy)``.

    Returns
    -------
    (H, W) complex128 array
        The mirror image enters at the borders: cut them off.
    """
    source = np.asarray(image, dtype=np.complex128)
    if shift == (0.0, 0.0):
        return source
    dx, dy = shift
    rows, columns = (math.ceil(abs(d)) + 8 for d in (dy, dx))
    mean = source.mean()
    padded = np.pad(source - mean, ((rows, rows), (columns, columns)), mode="symmetric")
    padded *= np.outer(
        _taper(padded.shape[0], 2 * rows / padded.shape[0]),
        _taper(padded.shape[1], 2 * columns / padded.shape[1]),
    )
    v, u = (np.fft.fftfreq(n) for n in padded.shape)
    ramp = np.exp(-2j * np.pi * (v[:, None] * dy + u[None, :] * dx))
    moved = np.fft.ifft2(np.fft.fft2(padded) * ramp)
    return np.asarray(moved[rows:-rows, columns:-columns] + mean)


def interior(image: Complex128, shift: Shift) -> Complex128:
    """Cut off the borders that `shift_image` by ``shift`` has filled from outside the image."""
    if shift == (0.0, 0.0):
        return image
    columns, rows = (math.ceil(abs(d)) + BORDER for d in shift)
    return image[rows : image.shape[0] - rows, columns : image.shape[1] - columns]


def _fourier_peak(
    values: Complex128,
    coordinates: tuple[NDArray[np.float64], NDArray[np.float64]],
    limit: float,
) -> Shift:
    """Maximise ``|sum_k values[k] exp(-2 pi i k l / n)|`` over real ``l = (lx, ly)``.

    An FFT finds the integer, matrix products of a few points refine it ten-fold at a time (M.
    Guizar-Sicairos et al., Opt. Lett. 33, 156, 2008). ``coordinates`` are the ``k`` of rows and
    columns, congruent to their index.
    """
    size = values.shape
    lags = [np.fft.fftfreq(n, 1 / n) for n in size]
    allowed = (np.abs(lags[0])[:, None] <= limit) & (np.abs(lags[1])[None, :] <= limit)
    height = np.where(allowed, np.abs(np.fft.fft2(values)), -1.0)
    row, column = np.unravel_index(int(np.argmax(height)), size)
    y, x = float(lags[0][row]), float(lags[1][column])
    for step in (0.1, 0.01, 0.001):
        ys, xs = (np.clip(at + step * np.arange(-10, 11), -limit, limit) for at in (y, x))
        left = np.exp(-2j * np.pi * np.outer(ys, coordinates[0]) / size[0])
        right = np.exp(-2j * np.pi * np.outer(coordinates[1], xs) / size[1])
        fine = np.abs(left @ values @ right)
        row, column = np.unravel_index(int(np.argmax(fine)), fine.shape)
        y, x = float(ys[row]), float(xs[column])
    return x, y


def _peak_shift(image: Complex128, reference: Complex128, limit: float) -> Shift:
    """Shift of ``image`` onto ``reference`` from their tapered cross-correlation."""
    window = taper((image.shape[0], image.shape[1]))
    a, b = (
        np.fft.fft2(window * (part - np.sum(window * part) / np.sum(window)))
        for part in (image, reference)
    )
    rows, columns = (np.fft.fftfreq(n, 1 / n) for n in image.shape)
    return _fourier_peak(np.asarray(np.conj(b) * a), (rows, columns), limit)


def find_shift(image: Complex, reference: Complex, max_shift: float) -> Shift:
    """Find the shift that registers ``image`` with ``reference``.

    The cross-correlation of two windows at the same place is biased towards zero, so the image is
    shifted and registered again until the shift vanishes, without the borders that enter from
    outside. A shift is returned only if it raises the complex correlation.

    Parameters
    ----------
    image, reference : (H, W) arrays
        Real or complex.
    max_shift
        Largest shift in x and in y, in pixels; images must be larger than twice this plus 16.

    Returns
    -------
    (dx, dy)
        The argument of `shift_image`, accurate to about 0.01 pixel; ``(0, 0)`` if no shift helps.

    Raises
    ------
    InvalidValueError
        If the shapes differ or the images are too small.
    """
    _same_shape(image, reference)
    _check_room((image.shape[0], image.shape[1]), max_shift)
    source, target = (np.asarray(part, dtype=np.complex128) for part in (image, reference))
    shift = (0.0, 0.0)
    for _ in range(6):
        moved = interior(shift_image(source, shift), shift)
        step = _peak_shift(moved, interior(target, shift), max_shift)
        total = [
            float(np.clip(s + d, -max_shift, max_shift)) for s, d in zip(shift, step, strict=True)
        ]
        shift = (total[0], total[1])
        if max(abs(step[0]), abs(step[1])) < 0.005:
            break
    fixed = interior(target, shift)
    still = complex_correlation(interior(source, shift), fixed)
    moved = interior(shift_image(source, shift), shift)
    better = complex_correlation(moved, fixed) > still + 1e-9
    return shift if better else (0.0, 0.0)


def _check_room(shape: tuple[int, int], max_shift: float) -> None:
    if not max_shift >= 0:
        raise InvalidValueError("max_shift", ">= 0 pixels", f"{max_shift:g}")
    needed = 2 * (math.ceil(max_shift) + BORDER) + 12
    if min(shape) < needed:
        raise InvalidValueError(
            "images",
            f"at least {needed} pixels a side to be registered within {max_shift:g} pixels",
            f"{shape[1]} x {shape[0]} pixels",
            "lower max_shift",
        )


def ramp_phase(shape: tuple[int, int], ramp: Shift) -> Complex128:
    """Return ``exp(i (rx x + ry y))``, with ``ramp = (rx, ry)`` in radians per pixel."""
    y, x = (np.arange(n) - n // 2 for n in shape)
    return np.asarray(np.exp(1j * (ramp[1] * y[:, None] + ramp[0] * x[None, :])))


def find_ramp(image: Complex, reference: Complex) -> Shift:
    """Find the linear phase ramp that fits ``image`` best to ``reference``.

    The maximum of the complex correlation over all ramps: the peak of the Fourier transform of
    ``conj(image) * reference``.

    Parameters
    ----------
    image, reference : (H, W) complex arrays

    Returns
    -------
    (rx, ry)
        Radians per pixel, the argument of `ramp_phase`; ``image * ramp_phase(...)`` matches.

    Raises
    ------
    InvalidValueError
        If the shapes differ.
    """
    _same_shape(image, reference)
    product = np.asarray(np.conj(image) * reference, dtype=np.complex128)
    rows, columns = (np.arange(n, dtype=np.float64) for n in product.shape)
    x, y = _fourier_peak(product, (rows, columns), max(product.shape))
    return 2 * math.pi * x / product.shape[1], 2 * math.pi * y / product.shape[0]
