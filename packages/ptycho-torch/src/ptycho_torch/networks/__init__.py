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
        If there is no architecture of that name, or it cannot do what ``model`` asks for.
    """
    check_architecture(model)
    return ARCHITECTURES[model.architecture](model)


def check_architecture(model: ModelConfig) -> None:
    """Refuse the name of a network that is not here, and stages of one that has none.

    Raises
    ------
    ValueError
        Naming what there is.
    """
    staged = {name: kind.has_stages for name, kind in ARCHITECTURES.items()}
    checks.check_architecture(model, staged, "PyTorch")


__all__ = ["ARCHITECTURES", "Network", "build_network", "check_architecture"]
