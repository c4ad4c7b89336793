"""Between a PyTorch model and the portable bundle."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config import ModelConfig, TrainingConfig, to_dict
from ptycho_data import Bundle
from ptycho_physics import input_scale

from ptycho_torch.model import PtychoModel
from ptycho_torch.networks import ARCHITECTURES

BACKEND: Final = "pytorch"


def versions() -> dict[str, str]:
    """Return the versions of the packages that make a model what it is."""
    names = ("ptycho-config", "ptycho-data", "ptycho-physics", "ptycho-torch", "torch", "lightning")
    return {name: importlib.metadata.version(name) for name in names}


def bundle_of(
    model: PtychoModel,
    config: TrainingConfig,
    *,
    photons: float,
    domain: str,
    history: Mapping[str, list[float]],
    overrides_applied: Mapping[str, Any],
    scans: Sequence[Mapping[str, Any]] = (),
    probe_given: bool = False,
) -> Bundle:
    """Collect everything that a bundle keeps of a trained model.

    Parameters
    ----------
    model
        Trained, on any device.
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
    scans
        What each scan of the training was: name, patterns, photons, domain.
    probe_given
        Whether the probe was given, and is not that of a scan.
    """
    N = config.model.N
    scale = input_scale(photons, N)
    gain = float(torch.exp(model.log_scale.detach()))
    kept = {"log_scale": model.log_scale} | {
        f"network.{name}": value for name, value in model.network.state_dict().items()
    }
    return Bundle(
        config=to_dict(config),
        overrides_applied=dict(overrides_applied),
        scaling={
            "photons": photons,
            "input_scale": scale,
            "intensity_scale": gain / scale,
            "domain": domain,
            "nphotons": config.nphotons,
            "scans": [dict(entry) for entry in scans],
            "probe_given": probe_given,
        },
        probe=model.scans[0].probe.detach().cpu().numpy(),
        weights={name: value.detach().cpu().numpy() for name, value in kept.items()},
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
        model = PtychoModel(settings, probe, bad_pixels)
    except ValueError as error:
        msg = f"bundle trained with {bundle.backend}, to run with {BACKEND}: {error}"
        raise ValueError(msg) from error
    weights = {name: torch.from_numpy(np.array(value)) for name, value in bundle.weights.items()}
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # torch's word for a shape that differs
        first = str(error).splitlines()[-1].strip()
        msg = f"bundle: weights must fit architecture {config.model.architecture!r}: {first}"
        raise ValueError(msg) from error
    if missing or unexpected:
        name = [*missing, *unexpected][0]
        msg = (
            f"bundle: weights must be those of architecture {config.model.architecture!r}, found "
            f"{len(missing)} missing and {len(unexpected)} unexpected, {name!r} for one"
        )
        raise ValueError(msg)
    return model.eval()
