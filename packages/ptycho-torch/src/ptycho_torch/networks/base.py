"""What every network is: diffraction in, complex object patches out."""

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn


class Network(nn.Module, ABC):
    """Maps groups of diffraction patterns to complex object patches.

    Attributes
    ----------
    recommended_scheduler : str
        The learning-rate schedule that ``scheduler="Default"`` stands for.
    any_size : bool
        Whether a trained network also reconstructs patterns of another N.
    has_stages : bool
        Whether patterns that go through it together can agree on the way: what ``joint_stages``
        asks for.
    starts_blind : bool
        Whether an untrained network knows nothing of diffraction: training then starts with a
        gentle likelihood (`ptycho_physics.likelihood_background`).
    """

    recommended_scheduler: str
    any_size: bool = False
    has_stages: bool = False
    starts_blind: bool = False

    @abstractmethod
    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        probe: Tensor,
        bad_pixels: Tensor,
        photons: Tensor | float = math.inf,
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups.

        Parameters
        ----------
        x : (B, C, N, N) float32
            Diffraction amplitude times ``(N/2) / sqrt(mean counts per pattern)``: order one.
        positions : (B, C, 1, 2) float
            Patch centres ``(x, y)`` in pixels; only differences within a group matter, and with
            ``joint_stages`` those within the batch.
        probe : (M, N, N) complex64
            Probe modes at unit power.
        bad_pixels : (N, N) bool
            True where the detector is not to be believed.
        photons
            Mean counts per pattern, which tell how far to believe an amplitude.

        Returns
        -------
        (B, C, N, N) complex64
            Object patches, each centred on its own position; one is an object that absorbs as
            much as the scan does on average.
        """
