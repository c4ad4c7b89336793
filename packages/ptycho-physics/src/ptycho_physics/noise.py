"""The noise of a detector: photon noise, read noise, saturation, bad pixels.

Random numbers come from NumPy, so that a seed gives the same scan with every library; nothing here
has a gradient. The effects are applied in the order in which they occur: photon noise, read noise,
saturation, bad pixels.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._namespace import Array, as_like, namespace, to_numpy
from ptycho_physics._shapes import offsets

Seed = int | np.random.Generator
"""A seed, or a generator, which is advanced."""


def poisson_noise(rate: Array, seed: Seed, *, xp: Any | None = None) -> Array:
    """Draw photon counts.

    Parameters
    ----------
    rate : (..., N, N) real array
        Expected counts, >= 0.
    seed

    Returns
    -------
    (..., N, N) real array
        Whole numbers in the dtype of ``rate``.

    Raises
    ------
    InvalidValueError
        If an expected count is negative, not a number, or beyond 1e18.
    """
    xp = namespace(rate, xp=xp)
    expected = to_numpy(rate).astype(np.float64)
    if not np.all((expected >= 0) & (expected <= 1e18)):
        got = f"{expected.min():g} .. {expected.max():g}"
        raise InvalidValueError("rate", "in [0, 1e18]", got)
    counts = np.random.default_rng(seed).poisson(expected)
    return as_like(xp.asarray(counts, dtype=rate.dtype), rate, xp)


def read_out(
    counts: Array,
    seed: Seed = 0,
    *,
    read_noise: float = 0.0,
    saturation: float | None = None,
    bad_pixels: NDArray[np.bool_] | None = None,
    xp: Any | None = None,
) -> Array:
    """Return what the detector reports for given photon counts.

    Parameters
    ----------
    counts : (..., N, N) real array
    seed
        Seed of the read noise.
    read_noise
        Standard deviation in counts of Gaussian noise on every pixel, >= 0. The sum is rounded to
        whole counts, as by digitisation, and clipped at zero.
    saturation
        Saturation level of the detector, in counts, > 0.
    bad_pixels : (N, N) boolean array, optional
        True where the detector is dead or behind the beam stop: zero is reported.

    Returns
    -------
    (..., N, N) real array
        Same dtype as ``counts``.

    Raises
    ------
    InvalidValueError
        If a number is outside its range, or ``bad_pixels`` has another shape than a pattern.
    """
    xp = namespace(counts, xp=xp)
    values = to_numpy(counts)
    if not 0 <= read_noise < math.inf:
        raise InvalidValueError("read_noise", ">= 0 counts and finite", f"{read_noise:g}")
    if saturation is not None and not saturation > 0:
        raise InvalidValueError("saturation", "> 0 counts", f"{saturation:g}")
    if bad_pixels is not None and bad_pixels.shape != values.shape[-2:]:
        rule = f"of shape {values.shape[-2:]}, that of a pattern"
        raise InvalidValueError("bad_pixels", rule, f"shape {bad_pixels.shape}")
    if read_noise > 0:
        noise = np.random.default_rng(seed).normal(0.0, read_noise, values.shape)
        values = np.clip(np.rint(values + noise), 0, None)
    if saturation is not None:
        values = np.minimum(values, saturation)
    if bad_pixels is not None:
        values = np.where(bad_pixels, 0, values)
    return as_like(xp.asarray(values, dtype=counts.dtype), counts, xp)


def beam_stop(N: int, diameter: float, *, arm: float = 0.0) -> NDArray[np.bool_]:
    """Return the bad pixels behind a round beam stop in the centre of the pattern.

    Parameters
    ----------
    N
        Pattern size in pixels.
    diameter
        Diameter in pixels, > 0: pixels whose centre lies closer than half of it are bad.
    arm
        Width in pixels of the arm that carries it, from the centre to the last row; 0 for none.

    Returns
    -------
    (N, N) boolean array, True is bad

    Raises
    ------
    InvalidValueError
        If the beam stop hides nothing or everything, or the arm has a negative width.
    """
    x, y = offsets((N, N), (N // 2, N // 2))
    bad = np.hypot(x, y) < diameter / 2
    if not arm >= 0:
        raise InvalidValueError("arm", ">= 0 pixels", f"{arm:g}")
    bad |= (np.abs(x) < arm / 2) & (y >= 0)
    if not bad.any() or bad.all():
        rule = f"> 0 and small enough to leave some of the {N} x {N} pixels"
        raise InvalidValueError("diameter", rule, f"{diameter:g}")
    return bad


def random_bad_pixels(N: int, fraction: float, seed: Seed) -> NDArray[np.bool_]:
    """Return bad pixels scattered over the detector.

    Parameters
    ----------
    N
        Pattern size in pixels.
    fraction
        Share of bad pixels, in [0, 1), rounded to whole pixels.
    seed

    Returns
    -------
    (N, N) boolean array, True is bad

    Raises
    ------
    InvalidValueError
        If the share is outside its range.
    """
    if not 0 <= fraction < 1:
        raise InvalidValueError("fraction", ">= 0 and < 1", f"{fraction:g}")
    bad = np.zeros(N * N, dtype=bool)
    number = round(fraction * N * N)
    bad[np.random.default_rng(seed).choice(N * N, size=number, replace=False)] = True
    return bad.reshape(N, N)
