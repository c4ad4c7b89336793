"""Convert a PyTorch model to the portable bundle and back: see `ptycho_core.bundles`."""

from typing import Any

import numpy as np
import torch
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

from ptycho_torch.model import PtychoModel
from ptycho_torch.networks import NETWORKS

PACKAGES = ("ptycho-torch", "torch", "lightning")


def bundle_of(model: PtychoModel, config: TrainingConfig, **record: Any) -> Bundle:
    """Collect the contents of a bundle from a trained model.

    Parameters
    ----------
    model
        Trained model, on any device.
    config
        Its configuration.
    record
        Dose, history and origins: the keywords of `ptycho_core.bundles.make_bundle`.
    """
    kept = {LOG_SCALE: model.log_scale} | {
        f"{NETWORK}{name}": value for name, value in model.network.state_dict().items()
    }
    return make_bundle(
        config,
        {name: value.detach().cpu().numpy() for name, value in kept.items()},
        model.scans[0].probe.detach().cpu().numpy(),
        backend=NETWORKS.backend,
        packages=PACKAGES,
        **record,
    )


def model_from(
    bundle: Bundle,
    probe: NDArray[np.complex64] | None = None,
    bad_pixels: NDArray[np.bool_] | None = None,
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

    Raises
    ------
    InvalidValueError
        If this backend does not know the architecture, the probe has another size, or the weights
        are not those of the architecture.
    """
    probe = bundle.probe if probe is None else probe
    settings = model_settings(bundle, probe, NETWORKS)
    with naming_backends(bundle, NETWORKS.backend):
        model = PtychoModel(settings, probe, bad_pixels)
    assign_weights(model, bundle)
    return model.eval()


def assign_weights(model: PtychoModel, bundle: Bundle) -> None:
    """Set the weights of a model, but no probe or position that it trains, to those of a bundle.

    Raises
    ------
    InvalidValueError
        If the weights are not those of the architecture.
    """
    own = {
        name: value
        for name, value in model.state_dict().items()
        if name == LOG_SCALE or name.startswith(NETWORK)
    }
    shapes = {name: tuple(value.shape) for name, value in own.items()}
    check_weights(model.config.architecture, shapes, bundle.weights)
    weights = {name: torch.from_numpy(np.array(value)) for name, value in bundle.weights.items()}
    model.load_state_dict(weights, strict=False)
