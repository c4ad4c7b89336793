"""The networks, by name: a new one is one file and one line here, or an entry point elsewhere."""

from ptycho_config import ModelConfig
from ptycho_core.networks import Networks

from ptycho_torch.networks.base import Network
from ptycho_torch.networks.cnn import CNN
from ptycho_torch.networks.unrolled import Guided, Unrolled

ARCHITECTURES: dict[str, type[Network]] = {
    "cnn": CNN,
    "guided": Guided,
    "unrolled": Unrolled,
}
"""The networks of this package, by name."""

NETWORKS = Networks(backend="pytorch", own=ARCHITECTURES, base=Network)
"""These, and the networks of installed packages."""


def build_network(model: ModelConfig) -> Network:
    """Build the network that ``model.architecture`` names.

    Raises
    ------
    InvalidValueError
        If there is no architecture of that name, or it does not support a setting of ``model``.
    """
    return NETWORKS.of_model(model)(model)


__all__ = ["ARCHITECTURES", "NETWORKS", "Network", "build_network"]
