"""The networks, by name: a new one is one file and one line here."""

from ptycho_config import ModelConfig

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
        If there is no architecture of that name.
    """
    check_architecture(model.architecture)
    return ARCHITECTURES[model.architecture](model)


def check_architecture(name: str) -> None:
    """Refuse the name of a network that is not here.

    Raises
    ------
    ValueError
        Naming those that are.
    """
    if name not in ARCHITECTURES:
        msg = (
            f"architecture: one of {', '.join(sorted(ARCHITECTURES))} expected in the PyTorch "
            f"backend, found {name!r}"
        )
        raise ValueError(msg)


__all__ = ["ARCHITECTURES", "Network", "build_network", "check_architecture"]
