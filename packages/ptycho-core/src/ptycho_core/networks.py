"""Properties of the networks that all backends share: description and sizes.

A bundle written by one backend is read by the others, so a network of one name has the same layers
in all of them.
"""

import math

from ptycho_config import ModelConfig

UNROLLED_CHANNELS = 8
CNN_CHANNELS = 32

CNN_PERIPHERY_CHANNELS = 8
"""Number of channels from which ``probe_big`` decodes the periphery of a patch."""

UNIT_SWISH = 1.2784645427610738
"""Solution of ``x * sigmoid(x) = 1``: shifted by it, an activation of zero gives unit amplitude."""


class NetworkTraits:
    """Properties of a network that training and reconstruction use.

    Attributes
    ----------
    recommended_scheduler : str
        The learning-rate schedule that ``scheduler="Default"`` stands for.
    recommended_rate : float
        The default learning rate of this network.
    any_size : bool
        Whether a trained network also reconstructs patterns of another N.
    has_stages : bool
        Whether the network has stages between which ``joint_stages`` can average the patterns of a
        batch.
    starts_blind : bool
        Whether training starts with the background-smoothed likelihood
        (`ptycho_physics.losses.likelihood_background`), for networks without built-in physics.
    """

    recommended_scheduler: str
    recommended_rate: float = 1e-3
    any_size: bool = False
    has_stages: bool = False
    starts_blind: bool = False


def unrolled_channels(model: ModelConfig) -> int:
    """Return the channels of the finest level of the U-Nets of ``unrolled``."""
    return UNROLLED_CHANNELS * model.n_filters_scale


def cnn_channels(model: ModelConfig) -> list[int]:
    """Return the channels of each level of ``cnn``, the finest first.

    Every level halves the image: three levels for N = 64, one more each time N doubles.
    """
    levels = 3 + int(math.log2(model.N // 64))
    return [model.n_filters_scale * CNN_CHANNELS * 2**level for level in range(levels)]
