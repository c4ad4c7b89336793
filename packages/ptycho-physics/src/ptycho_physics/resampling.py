"""Down- and upsampling of a periodic line of pixels by small matrices.

A smooth image needs few pixels: ``smoother @ image @ smoother.T`` is the coarse image, and
``refiner @ coarse @ refiner.T`` has all pixels again. Pixel 0 of the coarse image is pixel 0 of the
fine one, so centred images stay centred.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray


def smoother(N: int, stride: int, sigma: float) -> NDArray[np.float32]:
    """Return the matrix (N // stride, N) that smooths and downsamples a periodic line.

    Parameters
    ----------
    N
        Number of pixels, a multiple of ``stride``.
    stride
        Number of pixels of which one is kept.
    sigma
        Standard deviation of the Gaussian in pixels. From ``stride`` on, aliased frequencies are
        attenuated to a hundredth or less.
    """
    response = np.exp(-2 * (np.pi * sigma * np.fft.fftfreq(N)) ** 2)
    kernel = np.fft.ifft(response).real
    distance = stride * np.arange(N // stride)[:, None] - np.arange(N)
    return np.asarray(kernel[distance % N], dtype=np.float32)


def refiner(N: int, stride: int) -> NDArray[np.float32]:
    """Return the matrix (N, N // stride) that interpolates a periodic line by its Fourier series.

    Parameters
    ----------
    N
        Number of pixels of the result, a multiple of ``stride``.
    stride
        Distance between the given pixels.
    """
    n = N // stride
    spectrum = np.fft.fft(np.eye(n), axis=0)
    waves = np.exp(2j * np.pi * np.arange(N)[:, None] * np.fft.fftfreq(n) / stride)
    return np.asarray((waves @ spectrum).real / n, dtype=np.float32)


@cache
def multiscale_matrices(
    N: int, stride: int, coarsest: float, finest: float, steps: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return `refiner`, and a `smoother` for each step from coarse to fine.

    Parameters
    ----------
    N, stride
        As in `refiner` and `smoother`.
    coarsest, finest
        First and last standard deviation, as fractions of N.
    steps
        Number of steps, in equal ratios.

    Returns
    -------
    (N, N // stride) and (steps, N // stride, N) float32 arrays
        Cached: not to be written to.
    """
    sigmas = (np.geomspace(coarsest, finest, steps) * N).tolist()
    return refiner(N, stride), np.stack([smoother(N, stride, sigma) for sigma in sigmas])
