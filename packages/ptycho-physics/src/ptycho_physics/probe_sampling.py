"""Resampling of a probe to other pixels, and its change with the wavelength."""

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics.probes import modes_of

__all__ = ["resample_probe"]


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
    K = probe.shape[-1]
    frequency = np.arange(K) - K // 2
    places = (np.arange(N) - N // 2) * scale
    waves = np.exp(2j * np.pi * places[:, None] * frequency / K)
    waves[:, np.abs(frequency) * scale > K / 2] = 0
    waves[np.abs(places) > K / 2] = 0
    shifted = np.fft.ifftshift(probe, axes=(-2, -1))
    spectrum = np.fft.fftshift(np.fft.fft2(shifted), axes=(-2, -1))
    field = waves @ spectrum @ waves.T
    if not np.any(field):
        raise InvalidValueError("scale", "such that some of the probe is left", f"{scale:g}")
    return modes_of(field)
