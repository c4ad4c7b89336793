"""Losses between expected and measured counts, and of object patches."""

from typing import Any

from ptycho_physics._namespace import Array, log_factorial, namespace

SMALLEST_RATE = 1e-8
"""Added to expected counts before a logarithm or a root, so that these and their derivatives stay
finite where no light is predicted. Far below the dark counts of any detector."""

BACKGROUND = 1e-3
"""Counts per pixel added to expected and measured counts in training: bounds the gradient of the
logarithm where no light is predicted but a stray photon was counted."""

GENTLE_START = 0.2
"""Initial background of the gentle likelihood, as a fraction of the mean counts per pixel."""

GENTLE_PART = 0.2
"""Fraction of the epochs over which that background falls to zero."""


def gentleness(epoch: int, epochs: int) -> float:
    """Return the strength of the gentle likelihood in an epoch: it falls from one to zero.

    Parameters
    ----------
    epoch
        Number of the epoch, from 0.
    epochs
        Number of epochs of the whole training.
    """
    return max(0.0, 1 - epoch / (GENTLE_PART * epochs))


def likelihood_background(photons: Array | float, N: int, gentle: Array | float = 0.0) -> Any:
    """Return the counts per pixel to add to expected and measured counts in training.

    `BACKGROUND`, or more for a network at the beginning of its training. A few photons outside the
    beam, where an empty object scatters none, dominate the logarithm, and a network can scatter
    light there by the same dark frame in every patch. This amplitude has nothing to do with the
    sample, and the network does not leave it again. With a background it learns first from the
    bright pixels. The background has to be high at first and vanish later: a constant one of one
    count per pixel does not help.

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
    """Poisson deviance of each pattern: twice the log-likelihood ratio to a perfect model.

    ``2 sum(rate - counts + counts log(counts / rate))``. Its gradient is that of twice
    `poisson_nll`; it is zero for a perfect model and about one per pixel for the true one
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
    """Sum of ``|patches - reference|`` of each patch, where the ground truth is known.

    The modulus of the complex difference depends on amplitude and phase, and phases do not wrap.

    Parameters
    ----------
    patches, reference : (..., N, N) complex arrays

    Returns
    -------
    (...) real array
    """
    xp = namespace(patches, reference, xp=xp)
    return xp.sum(xp.abs(patches - reference), axis=(-2, -1))
