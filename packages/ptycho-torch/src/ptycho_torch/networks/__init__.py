"""The networks, by name: a new one is one file and one line here."""

from ptycho_config import ModelConfig
from ptycho_core import checks

from ptycho_torch.networks.base import Network
from ptycho_torch.networks.cnn import CNN
from ptycho_torch.networks.unrolled import Unrolled

ARCHITECTURES: dict[str, type[Network]] = {
    "cnn": CNN,
    "unrolled": Unrolled,
}


def build_network(model: ModelConfig) -> Network:
    """Build the network that ``model.architecture`` names.

    Raises
    ------
    ValueError
        If there is no architecture of that name, or it does not support a setting of ``model``.
    """
    check_architecture(model)
    return ARCHITECTURES[model.architecture](model)


def check_architecture(model: ModelConfig) -> None:
    """Refuse an unknown network, and ``stages`` for a network without stages.

    Raises
    ------
    ValueError
        If the settings are invalid; the message lists the networks.
    """
    staged = {name: kind.has_stages for name, kind in ARCHITECTURES.items()}
    checks.check_architecture(model, staged, "PyTorch")


__all__ = ["ARCHITECTURES", "Network", "build_network", "check_architecture"]
