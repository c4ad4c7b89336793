"""How well expected counts explain measured ones."""

from typing import Any

from ptycho_physics._namespace import Array, log_factorial, namespace

SMALLEST_RATE = 1e-8
"""Added to expected counts before a logarithm or a root, so that both stay finite, and their slopes
too, where no light is predicted. Far below what any detector counts by itself."""

BACKGROUND = 1e-3
"""Counts per pixel added to expected and measured counts where a network is trained: bounds the
gradient of the logarithm where the model predicts darkness and a stray photon arrived."""

GENTLE_START = 0.2
"""The background that a gentle likelihood starts with, in parts of the mean counts per pixel."""

GENTLE_PART = 0.2
"""Part of the epochs over which it falls."""


def gentleness(epoch: int, epochs: int) -> float:
    """Return how gentle the likelihood of an epoch is: from one down to zero, and zero then.

    Parameters
    ----------
    epoch
        Counted from 0.
    epochs
        Of the whole training.
    """
    return max(0.0, 1 - epoch / (GENTLE_PART * epochs))


def likelihood_background(photons: Array | float, N: int, gentle: Array | float = 0.0) -> Any:
    """Return the counts per pixel to add to both sides of the likelihood that trains a network.

    `BACKGROUND`, or more for a network that knows nothing of diffraction yet. A few photons beside
    the beam, where an empty object sends none, weigh heavily in a logarithm, and a network can
    scatter light there at once by the same dark frame in every patch. It then has an amplitude
    that has nothing to do with the sample, and stays with it. A background lets it learn first
    from where the light is; it has to stay high, and then go: one count per pixel does not help.

    Parameters
    ----------
    photons
        Mean counts per pattern.
    N
        Pixels across a pattern.
    gentle
        From `gentleness`.
    """
    return BACKGROUND + gentle * (GENTLE_START * photons / N**2)


def _sum_pixels(values: Array, mask: Array | None, xp: Any) -> Array:
    if mask is not None:
        values = xp.where(mask, xp.zeros_like(values), values)
    return xp.sum(values, axis=(-2, -1))


def poisson_nll(
    rate: Array,
    counts: Array,
    mask: Array | None = None,
    *,
    constant: bool = False,
    xp: Any | None = None,
) -> Array:
    """Poisson negative log-likelihood of each pattern, ``sum(rate - counts log(rate))``.

    The logarithm is that of ``rate + SMALLEST_RATE``.

    Parameters
    ----------
    rate : (..., N, N) real array
        Expected counts.
    counts : (..., N, N) real array
        Measured counts, not necessarily integers.
    mask : (N, N) boolean array, optional
        True where a pixel is bad; it contributes nothing.
    constant
        Add the constant ``log(counts!)``, for an absolute likelihood.

    Returns
    -------
    (...) real array
        One number per pattern, in nats.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[[3.0, 1.0], [0.0, 2.0]]])
    >>> bool(poisson_nll(counts, counts)[0] < poisson_nll(counts + 1, counts)[0])
    True
    """
    xp = namespace(rate, counts, xp=xp)
    values = rate - counts * xp.log(rate + SMALLEST_RATE)
    if constant:
        values = values + log_factorial(counts, xp)
    return _sum_pixels(values, mask, xp)


def poisson_deviance(
    rate: Array, counts: Array, mask: Array | None = None, *, xp: Any | None = None
) -> Array:
    """Poisson deviance of each pattern: twice the likelihood lost against a perfect model.

    ``2 sum(rate - counts + counts log(counts / rate))``. Its gradient is that of twice
    `poisson_nll`; it is zero for a perfect model and about one per pixel for a true one
    (P. McCullagh and J. Nelder, *Generalized Linear Models*, ch. 2).

    Parameters and shapes are those of `poisson_nll`.
    """
    xp = namespace(rate, counts, xp=xp)
    logs = xp.log(counts + SMALLEST_RATE) - xp.log(rate + SMALLEST_RATE)
    values = 2 * (rate - counts + counts * logs)
    return _sum_pixels(values, mask, xp)


def amplitude_mae(
    rate: Array, counts: Array, mask: Array | None = None, *, xp: Any | None = None
) -> Array:
    """Sum of ``|sqrt(rate) - sqrt(counts)|`` of each pattern, for counts of unknown absolute scale.

    Parameters and shapes are those of `poisson_nll`.
    """
    xp = namespace(rate, counts, xp=xp)
    values = xp.abs(xp.sqrt(rate + SMALLEST_RATE) - xp.sqrt(counts))
    return _sum_pixels(values, mask, xp)


def total_variation(patches: Array, *, xp: Any | None = None) -> Array:
    """Sum of absolute differences between neighbouring pixels of each patch.

    Anisotropic total variation (L. Rudin, S. Osher and E. Fatemi, *Physica D* 60, 259, 1992) of
    real and imaginary part together.

    Parameters
    ----------
    patches : (..., N, N) complex array
        Object patches.

    Returns
    -------
    (...) real array
    """
    xp = namespace(patches, xp=xp)
    across = patches[..., :, 1:] - patches[..., :, :-1]
    down = patches[..., 1:, :] - patches[..., :-1, :]
    parts = (xp.real(across), xp.imag(across), xp.real(down), xp.imag(down))
    return sum(xp.sum(xp.abs(part), axis=(-2, -1)) for part in parts)


def complex_mae(patches: Array, reference: Array, *, xp: Any | None = None) -> Array:
    """Sum of ``|patches - reference|`` of each patch: a real-space term, where a truth is known.

    The modulus of the complex difference: amplitude and phase count together, and no phase wraps.

    Parameters
    ----------
    patches, reference : (..., N, N) complex arrays

    Returns
    -------
    (...) real array
    """
    xp = namespace(patches, reference, xp=xp)
    return xp.sum(xp.abs(patches - reference), axis=(-2, -1))
