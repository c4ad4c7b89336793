"""The terms of the training loss: one table for all backends.

To add a term, write a function here, list it in `TERMS`, and add the field of its weight to
`ptycho_config.TrainingConfig`, named ``<name>_weight`` and marked with what the term ``compares``.

Terms are relative, so that their weights mean the same at any dose.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from array_api_compat import array_namespace
from attrs import frozen
from ptycho_config import TrainingConfig
from ptycho_physics import (
    amplitude_mae,
    likelihood_background,
    poisson_deviance,
    probe_weight,
    total_variation,
)
from ptycho_physics.losses import BACKGROUND

__all__ = ["TERMS", "Prediction", "loss_weights", "weighted_terms"]

Array = Any


@frozen(eq=False, kw_only=True)
class Prediction:
    """Output of a model for a batch, with the measured and known quantities.

    Attributes
    ----------
    patches : (B, C, N, N) complex array
        Object patches; consistent where they overlap, unless training is supervised.
    photons : scalar array
        Mean counts per pattern.
    counts : (B, C, N, N) float array
        Measured counts.
    rate : (B, C, N, N) float array or None
        Expected counts; None in supervised training.
    truth : (B, C, N, N) complex array or None
        Ground-truth patches, if there are any.
    probe : (M, N, N) complex array
        Probe in use, at unit power.
    bad_pixels : (N, N) bool array
        True where a detector pixel is bad.
    gentle : scalar or None
        Strength of the background-smoothed likelihood (`ptycho_physics.likelihood_background`).
    constant : callable
        Function that stops the gradient of an array.
    """

    patches: Array
    photons: Array
    counts: Array
    rate: Array = None
    truth: Array = None
    probe: Array
    bad_pixels: Array
    gentle: Any = None
    constant: Callable[[Array], Array]


def nll(made: Prediction, xp: Any) -> Array:
    """Poisson negative log-likelihood above its minimum, per photon.

    The smoothed likelihood changes only the gradient, so that epochs stay comparable.
    """

    def deviance(background: Any) -> Array:
        rate, counts = made.rate + background, made.counts + background
        return xp.mean(poisson_deviance(rate, counts, made.bad_pixels, xp=xp))

    value = deviance(BACKGROUND)
    if made.gentle is not None:
        size = made.counts.shape[-1]
        gentle = deviance(likelihood_background(made.photons, size, made.gentle))
        value = gentle + made.constant(value - gentle)
    return value / (2 * made.photons)


def mae(made: Prediction, xp: Any) -> Array:
    """Amplitude error over ``sqrt(photons) * N / 2``, the order of a pattern's amplitude."""
    error = xp.mean(amplitude_mae(made.rate, made.counts, made.bad_pixels, xp=xp))
    # not relative to the amplitude of the batch, which is zero if the shutter was closed
    return error / (xp.sqrt(made.photons) * made.counts.shape[-1] / 2)


def realspace(made: Prediction, xp: Any) -> Array:
    """Total variation of the object patches per pixel."""
    return xp.mean(total_variation(made.patches, xp=xp)) / made.patches.shape[-1] ** 2


def realspace_mae(made: Prediction, xp: Any) -> Array:
    """Complex error against the ground truth, weighted by the illumination.

    A pattern does not determine the global phase of its patch: the best-fitting one is used.
    """
    # constant, because training would otherwise darken the probe where patches are wrong
    weight = probe_weight(made.constant(made.probe), xp=xp)
    products = xp.conj(made.constant(made.patches)) * made.truth
    overlap = xp.sum(products * xp.astype(weight, products.dtype), axis=(-2, -1), keepdims=True)
    phase = xp.where(xp.abs(overlap) > 0, xp.sign(overlap), xp.ones_like(overlap))
    error = xp.abs(made.patches * phase - made.truth) * weight
    return xp.mean(error) / xp.mean(weight)


TERMS: MappingProxyType[str, Callable[[Prediction, Any], Array]] = MappingProxyType(
    {"nll": nll, "mae": mae, "realspace": realspace, "realspace_mae": realspace_mae}
)
"""Name to function. Each returns its mean over the patterns of a batch, a scalar array."""


def loss_weights(config: TrainingConfig) -> dict[str, float]:
    """Return the weight of each term that enters the loss.

    Supervised training compares patches with the truth alone.
    """
    if config.model.model_type == "supervised":
        return {"realspace_mae": 1.0}
    weights = {name: getattr(config, f"{name}_weight") for name in TERMS}
    return {name: weight for name, weight in weights.items() if weight}


def weighted_terms(
    config: TrainingConfig, made: Prediction, xp: Any | None = None
) -> dict[str, Array]:
    """Return the weighted terms of the loss of a batch; their sum is the loss.

    Parameters
    ----------
    config
        Training configuration with weights and model type.
    made
        Output of the model for the batch.
    xp
        Array namespace; default: that of the patches.
    """
    xp = array_namespace(made.patches) if xp is None else xp
    return {name: weight * TERMS[name](made, xp) for name, weight in loss_weights(config).items()}
