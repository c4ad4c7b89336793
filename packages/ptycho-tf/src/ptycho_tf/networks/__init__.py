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


def check_architecture(model: ModelConfig) -> None:
    """Refuse a name that no network has, and stages of one that has none.

    Raises
    ------
    ValueError
        Naming what there is.
    """
    name = model.architecture
    if name not in ARCHITECTURES:
        msg = (
            f"architecture: one of {', '.join(sorted(ARCHITECTURES))} expected in the TensorFlow "
            f"backend, found {name!r}"
        )
        raise ValueError(msg)
    staged = [key for key, kind in ARCHITECTURES.items() if getattr(kind, "has_stages", False)]
    if model.joint_stages and name not in staged:
        found = f"with architecture {name}, found true"
        msg = f"joint_stages: must be false {found}; use {', '.join(sorted(staged))}"
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
        If there is no architecture of that name, or it cannot do what ``model`` asks for.
    """
    check_architecture(model)
    return ARCHITECTURES[model.architecture](model, dtype)


__all__ = ["ARCHITECTURES", "Network", "build_network", "check_architecture"]
