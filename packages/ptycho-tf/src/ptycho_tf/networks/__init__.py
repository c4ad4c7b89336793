"""The networks, by name: a new one is one file and one line here, or an entry point elsewhere."""

from typing import Any

from ptycho_config import ModelConfig
from ptycho_core.networks import check_stages, find_network, trust_network

from ptycho_tf.networks.base import Network
from ptycho_tf.networks.cnn import CNN
from ptycho_tf.networks.unrolled import Guided, Unrolled

ARCHITECTURES: dict[str, type[Network]] = {
    "cnn": CNN,
    "guided": Guided,
    "unrolled": Unrolled,
}
"""The networks of this package; `ptycho_core.networks` finds those of others."""


def network_class(architecture: str) -> type[Network]:
    """Return the class of a network, by name or as ``module:Class``.

    Raises
    ------
    InvalidValueError
        There is no such network, or only a bundle named its module.
    """
    return find_network("tensorflow", architecture, ARCHITECTURES, Network)


def check_architecture(model: ModelConfig) -> None:
    """Refuse an unknown network, and ``joint_stages`` for a network without stages.

    For trainings: the user named the network, so a ``module:Class`` is imported.

    Raises
    ------
    InvalidValueError
        If the settings are invalid; the message lists the networks.
    """
    trust_network(model.architecture)
    check_stages(model, network_class(model.architecture), ARCHITECTURES)


def build_network(model: ModelConfig, dtype: Any = None) -> Network:
    """Build the network that ``model.architecture`` names.

    Parameters
    ----------
    model
        Configuration of the network.
    dtype
        Number format of the convolutions, by its name in Keras; None for float32.

    Raises
    ------
    InvalidValueError
        If there is no architecture of that name, or it does not support a setting of ``model``.
    """
    network: Any = network_class(model.architecture)
    check_stages(model, network, ARCHITECTURES)
    built: Network = network(model, dtype)
    return built


__all__ = ["ARCHITECTURES", "Network", "build_network", "check_architecture", "network_class"]
