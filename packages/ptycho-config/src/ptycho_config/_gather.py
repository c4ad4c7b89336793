"""Rules about the selection of patterns that training and inference share."""

from typing import Protocol

from ptycho_config.checks import Rule
from ptycho_config.model import ModelConfig

SEED_LIMIT = 2**32 - 1  # what NumPy's, PyTorch's and TensorFlow's generators all take


class Gathering(Protocol):
    """A configuration that gathers patterns into groups."""

    @property
    def model(self) -> ModelConfig:
        """The model that the groups are for."""

    @property
    def neighbor_count(self) -> int:
        """Nearest positions that a group is drawn from."""


def enough_neighbours(config: Gathering) -> str | None:
    """Check that a group can be filled from the neighbours it is drawn from."""
    gridsize, needed = config.model.gridsize, config.model.channels - 1
    if gridsize == 1 or config.neighbor_count >= needed:
        return None
    return (
        f"neighbor_count must be >= {needed} for gridsize {gridsize} "
        f"(gridsize**2 - 1 neighbours fill a group), got {config.neighbor_count}"
    )


GATHER_RULES: tuple[Rule, ...] = ((("neighbor_count", "model"), enough_neighbours),)
