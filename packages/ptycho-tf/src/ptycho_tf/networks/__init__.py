"""The networks, by name: a new one is one file and one line here, or an entry point elsewhere."""

from typing import Any

from ptycho_config import ModelConfig
from ptycho_core.networks import Networks

from ptycho_tf.networks.base import Network
from ptycho_tf.networks.cnn import CNN
from ptycho_tf.networks.unrolled import Guided, Unrolled

ARCHITECTURES: dict[str, type[Network]] = {
    "cnn": CNN,
    "guided": Guided,
    "unrolled": Unrolled,
}
"""The networks of this package, by name."""

NETWORKS = Networks(backend="tensorflow", own=ARCHITECTURES, base=Network)
"""These, and the networks of installed packages."""


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
    network: Any = NETWORKS.of_model(model)
    built: Network = network(model, dtype)
    return built


__all__ = ["ARCHITECTURES", "NETWORKS", "Network", "build_network"]
