"""Between a Keras model and the portable bundle."""

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config import ModelConfig, TrainingConfig, to_dict
from ptycho_data import Bundle
from ptycho_physics import input_scale

from ptycho_tf.model import PtychoModel
from ptycho_tf.networks import ARCHITECTURES
from ptycho_tf.weights import load_weights, weights_of

BACKEND = "tensorflow"
_SCALE, _NETWORK = "log_scale", "network."


def versions() -> dict[str, str]:
    """Return the versions of the packages that make a model what it is."""
    found = {"keras": importlib.metadata.version("keras")}
    for name in ("ptycho-config", "ptycho-data", "ptycho-physics", "ptycho-tf"):
        found[name] = importlib.metadata.version(name)
    for name in ("tensorflow", "tensorflow-cpu"):  # one or the other
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def named_weights(model: PtychoModel) -> dict[str, NDArray[Any]]:
    """Return everything learned, but for the probe, by the names and layouts of the bundle."""
    weights = {f"{_NETWORK}{weight.name}": weight.value for weight in weights_of(model.network)}
    return {_SCALE: np.asarray(model.log_scale.numpy()), **weights}


def bundle_of(
    model: PtychoModel,
    config: TrainingConfig,
    *,
    photons: float,
    domain: str,
    history: Mapping[str, list[float]],
    overrides_applied: Mapping[str, Any],
    probe_given: bool = False,
) -> Bundle:
    """Collect everything that a bundle keeps of a trained model.

    Parameters
    ----------
    model
        Trained.
    config
        Its configuration.
    photons
        Mean counts per pattern of the training patterns.
    domain
        ``counts`` or ``amplitude``, as the training scan had it.
    history
        Losses by name, one value per epoch.
    overrides_applied
        Where the configuration came from.
    probe_given
        Whether the probe was given, and is not that of the scan.
    """
    weights = named_weights(model)
    scale = input_scale(photons, config.model.N)
    return Bundle(
        config=to_dict(config),
        overrides_applied=dict(overrides_applied),
        scaling={
            "photons": photons,
            "input_scale": scale,
            "intensity_scale": float(np.exp(weights[_SCALE])) / scale,
            "domain": domain,
            "nphotons": config.nphotons,
            "probe_given": probe_given,
        },
        probe=model.probe.numpy(),
        weights=weights,
        history={name: list(values) for name, values in history.items()},
        backend=BACKEND,
        versions=versions(),
    )


def fits_any_size(model: ModelConfig) -> bool:
    """Whether a network of this architecture runs at another N than it was trained for."""
    return bool(getattr(ARCHITECTURES.get(model.architecture), "any_size", False))


def model_from(
    bundle: Bundle,
    probe: NDArray[np.complex64] | None = None,
    bad_pixels: NDArray[np.bool_] | None = None,
    *,
    precision: str = "32-true",
) -> PtychoModel:
    """Rebuild the model of a bundle, ready to reconstruct.

    Parameters
    ----------
    bundle
        Loaded bundle of either backend.
    probe : (M, N, N) complex64, optional
        Probe of the scan at hand; it sets N where the network takes any. Default: the bundle's
        own.
    bad_pixels : (N, N) bool, optional
        Bad pixels of the scan at hand.
    precision
        Number format of the network: a key of `ptycho_tf.model.PRECISIONS`.

    Raises
    ------
    ValueError
        If this backend does not know the architecture, the probe has another size, or the weights
        are not those of the architecture.
    """
    config = bundle.training_config
    probe = bundle.probe if probe is None else probe
    settings = config.model
    if fits_any_size(settings):
        settings = evolve(settings, N=probe.shape[-1])
    try:
        model = PtychoModel(settings, probe, bad_pixels, precision=precision)
    except ValueError as error:
        msg = f"bundle trained with {bundle.backend}, to run with {BACKEND}: {error}"
        raise ValueError(msg) from error
    weights = dict(bundle.weights)
    if _SCALE not in weights:
        msg = f"bundle: weights must contain {_SCALE!r}, found none"
        raise ValueError(msg)
    model.log_scale.assign(weights.pop(_SCALE))
    named = {name.removeprefix(_NETWORK): value for name, value in weights.items()}
    load_weights(model.network, named, config.model.architecture)
    return model
