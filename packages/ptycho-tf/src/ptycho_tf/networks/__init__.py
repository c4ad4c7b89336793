"""The networks, by name: a new one is one file and one line here."""

from collections.abc import Callable
from typing import Any

from ptycho_config import ModelConfig
from ptycho_core import checks

from ptycho_tf.networks.base import Network
from ptycho_tf.networks.cnn import CNN
from ptycho_tf.networks.unrolled import Unrolled

ARCHITECTURES: dict[str, Callable[[ModelConfig, Any], Network]] = {
    "cnn": CNN,
    "unrolled": Unrolled,
}


def check_architecture(model: ModelConfig) -> None:
    """Refuse an unknown network, and ``stages`` for a network without stages.

    Raises
    ------
    ValueError
        If the settings are invalid; the message lists the networks.
    """
    staged = {name: getattr(kind, "has_stages", False) for name, kind in ARCHITECTURES.items()}
    checks.check_architecture(model, staged, "TensorFlow")


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
    ValueError
        If there is no architecture of that name, or it does not support a setting of ``model``.
    """
    check_architecture(model)
    return ARCHITECTURES[model.architecture](model, dtype)


__all__ = ["ARCHITECTURES", "Network", "build_network", "check_architecture"]
