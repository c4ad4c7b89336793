"""Convert a Keras model to the portable bundle and back: see `ptycho_core.bundles`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config import TrainingConfig
from ptycho_core.bundles import (
    LOG_SCALE,
    NETWORK,
    check_weights,
    make_bundle,
    model_settings,
    naming_backends,
)
from ptycho_data import Bundle

from ptycho_tf.model import PtychoModel
from ptycho_tf.networks import NETWORKS
from ptycho_tf.weights import weights_of

PACKAGES = ("ptycho-tf", "keras", "tensorflow", "tensorflow-cpu")


def named_weights(model: PtychoModel) -> dict[str, NDArray[Any]]:
    """Return all trained weights except the probe, by the names and layouts of the bundle."""
    weights = {f"{NETWORK}{weight.name}": weight.value for weight in weights_of(model.network)}
    return {LOG_SCALE: np.asarray(model.log_scale.numpy()), **weights}


def bundle_of(model: PtychoModel, config: TrainingConfig, **record: Any) -> Bundle:
    """Collect the contents of a bundle from a trained model.

    Parameters
    ----------
    model
        Trained model.
    config
        Its configuration.
    record
        Dose, history and origins: the keywords of `ptycho_core.bundles.make_bundle`.
    """
    return make_bundle(
        config,
        named_weights(model),
        model.probe.numpy()[: model.scans[0].modes],
        backend=NETWORKS.backend,
        packages=PACKAGES,
        **record,
    )


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
        Probe of the scan; it sets N if the network accepts any. Default: the probe of the
        bundle.
    bad_pixels : (N, N) bool, optional
        Bad pixels of the scan.
    precision
        Number format of the network: a key of `ptycho_tf.model.PRECISIONS`.

    Raises
    ------
    InvalidValueError
        If this backend does not know the architecture, the probe has another size, or the weights
        are not those of the architecture.
    """
    probe = bundle.probe if probe is None else probe
    settings = model_settings(bundle, probe, NETWORKS)
    with naming_backends(bundle, NETWORKS.backend):
        model = PtychoModel(settings, probe, bad_pixels, precision=precision)
    assign_weights(model, bundle)
    return model


def assign_weights(model: PtychoModel, bundle: Bundle) -> None:
    """Set the weights of a model, but no probe or position that it trains, to those of a bundle.

    Raises
    ------
    InvalidValueError
        If the weights are not those of the architecture.
    """
    weights = {f"{NETWORK}{weight.name}": weight for weight in weights_of(model.network)}
    shapes = {LOG_SCALE: ()} | {name: weight.shape for name, weight in weights.items()}
    check_weights(model.config.architecture, shapes, bundle.weights)
    model.log_scale.assign(bundle.weights[LOG_SCALE])
    for name, weight in weights.items():
        weight.assign(bundle.weights[name])
