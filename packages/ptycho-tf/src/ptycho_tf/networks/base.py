"""What every network is: diffraction in, complex object patches out."""

import math
from abc import abstractmethod
from typing import Any

from ptycho_tf.frameworks import keras

Tensor = Any


class Network(keras.layers.Layer):
    """Maps groups of diffraction patterns to complex object patches.

    The physics in a network computes in float32, its convolutions in what ``precision`` says.

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
    parts : list of keras.Model
        The functional models that hold the weights. The name of each of their layers is the name
        of its weights in the bundle: see `ptycho_tf.weights`.
    """

    recommended_scheduler: str
    any_size: bool = False
    has_stages: bool = False
    starts_blind: bool = False
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
            True where the detector is not to be believed.
        photons
            Mean counts per pattern, which tell how far to believe an amplitude.

        Returns
        -------
        (B, N, N, C) complex64
            Object patches, each centred on its own position; one is an object that absorbs as
            much as the scan does on average.
        """
