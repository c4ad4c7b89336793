"""Properties of the networks that all backends share: registry, description and sizes.

A bundle written by one backend is read by the others, so a network of one name has the same layers
in all of them.

Besides the networks of the backends, a package can register networks of its own, under one entry
point group per backend::

    [project.entry-points."ptycho.networks.pytorch"]
    small = "small_network:SmallNetwork"

A class that is not registered is named ``module:Class``. Its module is imported only if the user
named it: a bundle, which may come from elsewhere, never has a module imported.
"""

import math
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from attrs import frozen
from ptycho_config import ModelConfig
from ptycho_config.errors import InvalidValueError, MissingPackageError, describe

__all__ = [
    "CNN_CHANNELS",
    "CNN_PERIPHERY_CHANNELS",
    "GROUP",
    "UNIT_SWISH",
    "UNROLLED_CHANNELS",
    "NetworkTraits",
    "Networks",
    "cnn_channels",
    "trust_network",
    "unrolled_channels",
]

GROUP = "ptycho.networks"
"""Group of the entry points of networks, followed by a dot and the name of the backend."""

UNROLLED_CHANNELS = 8
CNN_CHANNELS = 32

CNN_PERIPHERY_CHANNELS = 8
"""Number of channels from which ``probe_big`` decodes the periphery of a patch."""

UNIT_SWISH = 1.2784645427610738
"""Solution of ``x * sigmoid(x) = 1``: shifted by it, an activation of zero gives unit amplitude."""


class NetworkTraits:
    """Properties of a network that training and reconstruction use.

    Attributes
    ----------
    recommended_scheduler : str
        The learning-rate schedule that ``scheduler="Default"`` stands for.
    recommended_rate : float
        The default learning rate of this network.
    any_size : bool
        Whether a trained network also reconstructs patterns of another N.
    has_stages : bool
        Whether the network has stages between which ``joint_stages`` can average the patterns of a
        batch.
    starts_from_scan : bool
        Whether the network starts from an estimate of the whole scan: see
        `ptycho_core.scan_estimate`.
    starts_blind : bool
        Whether training starts with the background-smoothed likelihood
        (`ptycho_physics.losses.likelihood_background`), for networks without built-in physics. One
        that starts from a trained model does not.
    """

    recommended_scheduler: str
    recommended_rate: float = 1e-3
    any_size: bool = False
    has_stages: bool = False
    starts_from_scan: bool = False
    starts_blind: bool = False


def unrolled_channels(model: ModelConfig) -> int:
    """Return the channels of the finest level of the U-Nets of ``unrolled``."""
    return UNROLLED_CHANNELS * model.n_filters_scale


def cnn_channels(model: ModelConfig) -> list[int]:
    """Return the channels of each level of ``cnn``, the finest first.

    Every level halves the image: three levels for N = 64, one more each time N doubles.
    """
    levels = 3 + int(math.log2(model.N // 64))
    return [model.n_filters_scale * CNN_CHANNELS * 2**level for level in range(levels)]


N = TypeVar("N", bound=NetworkTraits)

#: Classes that the user named as ``module:Class`` in this process.
_TRUSTED: set[str] = set()


@cache
def _installed(backend: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"{GROUP}.{backend}")}


def trust_network(name: str) -> None:
    """Allow the import of a network that is named ``module:Class``, as the user asked for it.

    Trainings do this for the architecture in their configuration, and reconstructions for one
    that the caller gave besides the bundle. Never call it with a name read from a bundle.
    """
    _TRUSTED.add(name)


@frozen(kw_only=True)
class Networks(Generic[N]):
    """The networks of a backend: its own, and those of installed packages.

    Attributes
    ----------
    backend : str
        Name of the backend.
    own : dict of str to class
        The networks of the backend, by name.
    base : class
        Class from which all of them derive.
    """

    backend: str
    own: Mapping[str, type[N]]
    base: type

    @property
    def names(self) -> list[str]:
        """Names of all networks: first those of the backend, then those of installed packages."""
        return [*sorted(self.own), *sorted(_installed(self.backend).keys() - self.own.keys())]

    def find(self, name: str) -> type[N]:
        """Return the class of a network, by name or as ``module:Class``.

        Raises
        ------
        InvalidValueError
            No network has that name, the class cannot be imported or is not a network, or its
            module was named only by a bundle (see `trust_network`).
        MissingPackageError
            It is registered, but cannot be imported.
        """
        if name in self.own:
            return self.own[name]
        entries = _installed(self.backend)
        entry = entries.get(name) or next((e for e in entries.values() if e.value == name), None)
        if entry is not None:
            return _checked(_load(entry), name, self.base)
        if name in _TRUSTED and ":" in name:
            return _checked(_import(name), name, self.base)
        advice = ""
        if ":" in name:
            python = f"ptycho_core.networks.trust_network({name!r})"
            advice = f"to import that class, give --architecture {name}, or in Python call {python}"
        rule = f"one of {', '.join(self.names)} with backend {self.backend}"
        raise InvalidValueError("architecture", rule, describe(name), advice)

    def of_model(self, model: ModelConfig) -> type[N]:
        """Return the class of the network of a model.

        Raises
        ------
        InvalidValueError, MissingPackageError
            As for `find`; or the model has ``joint_stages``, and the network no stages. The message
            names those that have.
        """
        network = self.find(model.architecture)
        if model.joint_stages and not network.has_stages:
            able = ", ".join(sorted(name for name, kind in self.own.items() if kind.has_stages))
            rule = f"false with architecture {model.architecture}"
            raise InvalidValueError("joint_stages", rule, "true", f"use {able}")
        return network

    def to_train(self, model: ModelConfig) -> type[N]:
        """Return the class of the network of a model to be trained; errors as for `of_model`.

        A ``module:Class`` is imported: whoever trains has named the network.
        """
        trust_network(model.architecture)
        return self.of_model(model)


def _load(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except Exception as error:  # foreign code may raise anything while it is imported
        message = f"network {entry.name} is registered by {entry.value}, which does not load"
        raise MissingPackageError(f"{message}: {error}") from error


def _import(name: str) -> object:
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:  # as in _load
        advice = f"{error}; install the module, or add its folder to PYTHONPATH"
        rule = "a class that can be imported"
        raise InvalidValueError("architecture", rule, describe(name), advice) from error


def _checked(found: object, name: str, base: type) -> type[Any]:
    if isinstance(found, type) and issubclass(found, base):
        return found
    rule = f"a subclass of {base.__module__}.{base.__qualname__}"
    raise InvalidValueError("architecture", rule, describe(name))
