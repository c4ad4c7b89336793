"""The networks, by name: a new one is one file and one line here."""

from collections.abc import Callable
from typing import Any

from ptycho_config import ModelConfig

from ptycho_tf.networks.base import Network
from ptycho_tf.networks.cnn import CNN
from ptycho_tf.networks.unrolled import Unrolled

ARCHITECTURES: dict[str, Callable[[ModelConfig, Any], Network]] = {
    "cnn": CNN,
    "unrolled": Unrolled,
}


def check_architecture(name: str) -> None:
    """Refuse a name that no network has.

    Raises
    ------
    ValueError
        With the names that there are.
    """
    if name not in ARCHITECTURES:
        msg = (
            f"architecture: one of {', '.join(sorted(ARCHITECTURES))} expected in the TensorFlow "
            f"backend, found {name!r}"
        )
        raise ValueError(msg)


def build_network(model: ModelConfig, dtype: Any = None) -> Network:
    """Build the network that ``model.architecture`` names.

    Parameters
    ----------
    model
        Its configuration.
    dtype
        Number format of its convolutions, as Keras names it; None for float32.

    Raises
    ------
    ValueError
        If there is no architecture of that name.
    """
    check_architecture(model.architecture)
    return ARCHITECTURES[model.architecture](model, dtype)


__all__ = ["ARCHITECTURES", "Network", "build_network", "check_architecture"]
