"""Resampling of probes and objects to other pixels, by their Fourier series."""

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics.probes import modes_of

__all__ = ["resample_image", "resample_probe"]


def resample_probe(
    probe: NDArray[np.complexfloating], N: int, *, scale: float
) -> NDArray[np.complex64]:
    """Resample a probe by its Fourier series, exactly where both grids hold all of it.

    Frequencies that the new pixels cannot hold are removed, and what lies outside of the old field
    is zero.

    Parameters
    ----------
    probe : (M, K, K) complex array
        Modes, centred on pixel ``[K//2, K//2]``.
    N
        Number of new pixels.
    scale
        New pixel over old pixel, > 0.

    Returns
    -------
    (M, N, N) complex64 array of unit power
        Centred on pixel ``[N//2, N//2]``.

    Raises
    ------
    InvalidValueError
        If ``scale`` is not positive, or nothing of the probe is left.
    """
    if not 0 < scale < np.inf:
        raise InvalidValueError("scale", "> 0, new pixel over old pixel", f"{scale:g}")
    waves = _waves((np.arange(N) - N // 2) * scale, probe.shape[-1], scale)
    field = waves @ _spectrum(probe) @ waves.T
    if not np.any(field):
        raise InvalidValueError("scale", "such that some of the probe is left", f"{scale:g}")
    return modes_of(field)


def resample_image(
    image: NDArray[np.complexfloating],
    shape: tuple[int, int],
    *,
    first: tuple[float, float],
    step: float,
) -> NDArray[np.complex64]:
    """Resample an image by its Fourier series.

    Frequencies that the new pixels cannot hold are removed, and what lies outside of the old image
    is zero.

    Parameters
    ----------
    image : (H, W) complex array
    shape
        Of the result.
    first
        Place (row, column) of the first new pixel, in old pixels.
    step
        New pixel over old pixel, > 0.

    Returns
    -------
    (h, w) complex64 array
    """
    rows, columns = (
        _waves(start + np.arange(number) * step - size // 2, size, step)
        for start, number, size in zip(first, shape, image.shape, strict=True)
    )
    field = rows @ _spectrum(image) @ columns.T / image.size
    return np.asarray(field, dtype=np.complex64)


def _waves(places: NDArray[np.floating], K: int, step: float) -> NDArray[np.complex128]:
    """Return the waves (n, K) of a line of K pixels at places from its pixel ``K//2``."""
    frequency = np.arange(K) - K // 2
    waves = np.asarray(np.exp(2j * np.pi * places[:, None] * frequency / K))
    waves[:, np.abs(frequency) * step > K / 2] = 0
    waves[np.abs(places) > K / 2] = 0
    return waves


def _spectrum(field: NDArray[np.complexfloating]) -> NDArray[np.complexfloating]:
    shifted = np.fft.ifftshift(field, axes=(-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted), axes=(-2, -1))
