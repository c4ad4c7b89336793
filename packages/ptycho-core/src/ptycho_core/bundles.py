"""Contents and checks of the bundles of all backends: backends only convert weights."""

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config import ModelConfig, TrainingConfig, to_dict
from ptycho_config.errors import InvalidValueError
from ptycho_data import Bundle
from ptycho_physics import input_scale

from ptycho_core.networks import N, Networks

__all__ = [
    "LOG_SCALE",
    "NETWORK",
    "check_weights",
    "installed_versions",
    "make_bundle",
    "model_settings",
    "naming_backends",
    "network_of",
]

LOG_SCALE, NETWORK = "log_scale", "network."
"""Name of the intensity scale among the weights, and prefix of the network's own."""

LARGEST_LOG_SCALE = 60.0
"""Largest modulus of the logarithm of the intensity scale: exp(60) is 1e26."""

PACKAGES = ("ptycho-config", "ptycho-core", "ptycho-data", "ptycho-physics")


def installed_versions(*names: str) -> dict[str, str]:
    """Return the versions of our packages and of the packages ``names``, if installed."""
    versions = {}
    for name in (*PACKAGES, *names):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def make_bundle(
    config: TrainingConfig,
    weights: Mapping[str, NDArray[Any]],
    probe: NDArray[np.complex64],
    *,
    photons: float,
    domain: str,
    history: Mapping[str, list[float]],
    overrides_applied: Mapping[str, Any],
    scans: Iterable[Mapping[str, Any]] = (),
    probe_given: bool = False,
    start: Mapping[str, Any] | None = None,
    backend: str,
    packages: Sequence[str],
) -> Bundle:
    """Collect the contents of a bundle from a trained model.

    Parameters
    ----------
    config
        Configuration of the training.
    weights
        Weights by the names and in the axis order of a bundle.
    probe : (M, N, N) complex64
        Probe that was used, at unit power.
    photons
        Mean counts per pattern of the training patterns.
    domain
        ``counts`` or ``amplitude``, as the training scan had it.
    history
        Losses by name, one value per epoch.
    overrides_applied
        Origins of the configuration.
    scans
        Name, patterns, photons and domain of each scan.
    probe_given
        Whether the user gave the probe, instead of the scans.
    start
        What identifies the model that the training started from: see `ptycho_data.Bundle`.
    backend
        Name of the backend.
    packages
        Other packages whose versions are recorded.
    """
    scale = input_scale(photons, config.model.N)
    return Bundle(
        config=to_dict(config),
        overrides_applied=dict(overrides_applied),
        scaling={
            "photons": photons,
            "input_scale": scale,
            "intensity_scale": float(np.exp(weights[LOG_SCALE])) / scale,
            "domain": domain,
            "nphotons": config.nphotons,
            "scans": [dict(entry) for entry in scans],
            "probe_given": probe_given,
        },
        probe=probe,
        weights=dict(weights),
        history={name: list(values) for name, values in history.items()},
        backend=backend,
        versions=installed_versions(*packages),
        start=dict(start or {}),
    )


def network_of(bundle: Bundle, networks: Networks[N]) -> type[N]:
    """Return the class of a bundle's network, among those of a backend.

    Raises
    ------
    InvalidValueError
        If the backend does not know it.
    """
    with naming_backends(bundle, networks.backend):
        return networks.find(bundle.training_config.model.architecture)


def model_settings(
    bundle: Bundle, probe: NDArray[np.complex64], networks: Networks[N]
) -> ModelConfig:
    """Return the settings of a bundle's network; a probe sets N if the network accepts any.

    Errors are those of `network_of`.
    """
    settings = bundle.training_config.model
    if network_of(bundle, networks).any_size:
        settings = evolve(settings, N=probe.shape[-1])
    return settings


@contextmanager
def naming_backends(bundle: Bundle, backend: str) -> Iterator[None]:
    """Add the origin of a bundle of another backend to the error if building its model fails."""
    try:
        yield
    except InvalidValueError as error:
        if bundle.backend == backend:
            raise
        origin = f"the bundle was trained with {bundle.backend}, and should run with {backend}"
        advice = f"{error.advice}; {origin}" if error.advice else origin
        raise InvalidValueError(error.name, error.rule, error.got, advice) from error


def check_weights(
    architecture: str, expected: Mapping[str, tuple[int, ...]], weights: Mapping[str, NDArray[Any]]
) -> None:
    """Refuse weights that do not match an architecture.

    Parameters
    ----------
    architecture
        Name of the architecture.
    expected
        Names and shapes of its weights.
    weights
        Weights of a bundle.

    Raises
    ------
    InvalidValueError
        Naming the first one that is missing, unexpected or of another shape.
    """
    name, rule = "weights of the bundle", f"those of architecture {architecture!r}"
    odd = sorted(expected.keys() ^ weights.keys())
    if odd:
        missing = len(expected.keys() - weights.keys())
        found = f"{missing} missing and {len(odd) - missing} unexpected, {odd[0]!r} for one"
        raise InvalidValueError(name, rule, found)
    for key, shape in expected.items():
        if tuple(weights[key].shape) != shape:
            found = f"{key} of shape {tuple(weights[key].shape)} instead of {shape}"
            raise InvalidValueError(name, rule, found)
    scale = float(weights[LOG_SCALE]) if LOG_SCALE in weights else 0.0
    if abs(scale) > LARGEST_LOG_SCALE:
        rule = f"from -{LARGEST_LOG_SCALE:g} to {LARGEST_LOG_SCALE:g} in {LOG_SCALE}"
        raise InvalidValueError(name, rule, f"{scale:g}", "train again")
