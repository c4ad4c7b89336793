"""A network outside ptycho-torch: two convolutions of what the sample changes in each pattern.

A package that holds this file registers the network in its ``pyproject.toml``::

    [project.entry-points."ptycho.networks.pytorch"]
    small = "small_network:SmallNetwork"

After its installation, ``ptycho train scan.npz -o model --architecture small`` trains it. Without
an installation, the class is named instead, and its folder is on ``PYTHONPATH``::

    ptycho train scan.npz -o model --architecture small_network:SmallNetwork
    ptycho infer model scan.npz -o result --architecture small_network:SmallNetwork
"""

import math

import torch
from ptycho_config import ModelConfig
from ptycho_physics import departure_from_beam
from ptycho_torch.networks import Network
from torch import Tensor, nn

FEATURES = 16


class SmallNetwork(Network):
    """Map each group of patterns to patches that differ little from empty space.

    Parameters
    ----------
    model
        ``gridsize`` sets the channels in and out, ``n_filters_scale`` the width.
    """

    recommended_scheduler = "WarmupCosine"
    recommended_rate = 2e-3
    any_size = True  # convolutions take patterns of any N
    starts_blind = True  # no diffraction is built in

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        width = FEATURES * model.n_filters_scale
        self.layers = nn.Sequential(
            nn.Conv2d(model.channels, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, 2 * model.channels, 3, padding=1),
        )

    def forward(
        self,
        x: Tensor,
        positions: Tensor,  # noqa: ARG002 - part of the interface, not used here
        probe: Tensor,
        bad_pixels: Tensor,
        photons: Tensor | float = math.inf,  # noqa: ARG002
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups: see `Network.forward`."""
        departure = departure_from_beam(x, probe.detach(), bad_pixels)
        real, imaginary = self.layers(departure).float().chunk(2, dim=1)
        return torch.complex(1 + 0.1 * real.tanh(), 0.1 * imaginary.tanh())
