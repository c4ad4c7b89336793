"""The base class of networks: diffraction in, complex object patches out."""

import math
from abc import abstractmethod
from typing import Any

from ptycho_core.networks import NetworkTraits

from ptycho_tf.frameworks import keras

Tensor = Any


class Network(NetworkTraits, keras.layers.Layer):
    """Maps groups of diffraction patterns to complex object patches.

    The physics in a network computes in float32, its convolutions in the format of ``precision``.

    Attributes
    ----------
    parts : list of keras.Model
        The functional models that hold the weights. The name of each of their layers is the name
        of its weights in the bundle: see `ptycho_tf.weights`.
    """

    parts: list[keras.Model]

    def __init__(self) -> None:
        super().__init__(dtype="float32")

    @abstractmethod
    def call(
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
        x : (B, N, N, C) float32
            Diffraction amplitude times ``(N/2) / sqrt(mean counts per pattern)``: order one.
        positions : (B, 1, 2, C) float32
            Patch centres ``(x, y)`` in pixels; only differences within a group matter, and with
            ``joint_stages`` those within the batch.
        probe : (M, N, N) complex64
            Probe modes at unit power.
        bad_pixels : (N, N) bool
            True where a detector pixel is bad.
        photons
            Mean counts per pattern, which determine the uncertainty of an amplitude.

        A network with `starts_from_scan` takes two more: ``start`` (B, N, N, C) complex64, the
        patches of `ptycho_core.scan_estimate`, and ``light`` (B, N, N, C) float32, how strongly all
        patterns of the scan light each pixel, in probes of unit power.

        Returns
        -------
        (B, N, N, C) complex64
            Object patches, each centred on its own position; a modulus of one
            is the average transmission of the scan.
        """
