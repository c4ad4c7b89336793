"""Convert between the axis order of Keras, channels last, and of the physics, ``(..., N, N)``."""

from typing import Any

from ptycho_tf.frameworks import tf

Tensor = Any


def channels_first(images: Tensor) -> Tensor:
    """Turn (B, N, N, C) into (B, C, N, N)."""
    if images.shape[-1] == 1:  # the memory layout is the same
        return tf.expand_dims(images[..., 0], 1)
    return tf.transpose(images, (0, 3, 1, 2))


def channels_last(images: Tensor) -> Tensor:
    """Turn (B, C, N, N) into (B, N, N, C)."""
    if images.shape[1] == 1:
        return tf.expand_dims(images[:, 0], -1)
    return tf.transpose(images, (0, 2, 3, 1))


def positions_of_patterns(positions: Tensor) -> Tensor:
    """Turn the positions (B, 1, 2, C) of groups into (B, C, 2)."""
    return tf.transpose(positions[:, 0], (0, 2, 1))
