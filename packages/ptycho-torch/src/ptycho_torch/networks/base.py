"""The base class of networks: diffraction in, complex object patches out."""

import math
from abc import ABC, abstractmethod

from ptycho_core.networks import NetworkTraits
from torch import Tensor, nn


class Network(NetworkTraits, nn.Module, ABC):
    """Maps groups of diffraction patterns to complex object patches."""

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
            True where a detector pixel is bad.
        photons
            Mean counts per pattern, which determine the uncertainty of an amplitude.

        A network with `starts_from_scan` takes two more: ``start`` (B, C, N, N) complex64, the
        patches of `ptycho_core.scan_estimate`, and ``light`` (B, C, N, N) float32, how strongly all
        patterns of the scan light each pixel, in probes of unit power.

        Returns
        -------
        (B, C, N, N) complex64
            Object patches, each centred on its own position; a modulus of one
            is the average transmission of the scan.
        """
