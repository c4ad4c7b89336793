"""Rules about the selection of patterns that training and inference share."""

from typing import Protocol

from ptycho_config.checks import Rule
from ptycho_config.model import ModelConfig


class Gathering(Protocol):
    """A configuration that forms groups of patterns."""

    @property
    def model(self) -> ModelConfig:
        """The model that uses the groups."""

    @property
    def neighbor_count(self) -> int:
        """Number of nearest positions from which a group is drawn."""


def enough_neighbours(config: Gathering) -> str | None:
    """Check that there are enough neighbours to fill a group."""
    gridsize, needed = config.model.gridsize, config.model.channels - 1
    if gridsize == 1 or config.neighbor_count >= needed:
        return None
    return (
        f"neighbor_count must be >= {needed} for gridsize {gridsize} "
        f"(gridsize**2 - 1 neighbours fill a group), got {config.neighbor_count}"
    )


GATHER_RULES: tuple[Rule, ...] = ((("neighbor_count", "model"), enough_neighbours),)
