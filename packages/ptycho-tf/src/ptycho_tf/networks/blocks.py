"""Convolutional layers shared by the networks, as Keras functional models."""

from typing import Any

from ptycho_tf.frameworks import keras

Tensor = Any
layers, ops = keras.layers, keras.ops

SMALLEST_VARIANCE = 1e-5
"""Added to the variance of a normalised group, as in PyTorch."""


def convolution(
    image: Tensor, channels: int, name: str, *, size: int = 3, start: str = "fan_in", **more: Any
) -> Tensor:
    """Convolve (B, H, W, c) to (B, H, W, channels), the border padded by zeros.

    Parameters
    ----------
    image
        Symbolic tensor.
    channels
        Number of output channels.
    name
        Name of the layer, and of its weights in the bundle.
    size
        Edge of the kernel.
    start
        Initial weights: ``fan_in``, uniform within ``1 / sqrt(inputs per pixel)``; ``he``, uniform
        after He, with biases of zero; ``zeros``.
    more
        Further arguments of the layer.
    """
    reach = (size * size * image.shape[-1]) ** -0.5
    near = keras.initializers.RandomUniform(-reach, reach)
    far = keras.initializers.RandomUniform(-reach, reach)
    kernel, bias = {
        "fan_in": (near, far),
        "he": ("he_uniform", "zeros"),
        "zeros": ("zeros", "zeros"),
    }[start]
    layer = layers.Conv2D(
        channels,
        size,
        padding="same",
        kernel_initializer=kernel,
        bias_initializer=bias,
        name=name,
        **more,
    )
    return layer(image)


def conv_block(
    image: Tensor, channels: int, name: str, dtype: Any, *, halve: bool = False
) -> Tensor:
    """Two convolutions with GELU, the second one normalised over groups of channels.

    Both are 3x3. With ``halve`` the first is 6x6 with a stride of two, which covers as much of the
    image as a 3x3 convolution of the image at half size.
    """
    first: dict[str, Any] = {"size": 6, "strides": 2} if halve else {}
    image = convolution(image, channels, f"{name}.first", dtype=dtype, **first)
    image = convolution(ops.gelu(image, approximate=False), channels, f"{name}.second", dtype=dtype)
    norm = layers.GroupNormalization(
        max(1, channels // 8), epsilon=SMALLEST_VARIANCE, name=f"{name}.norm", dtype=dtype
    )
    return ops.gelu(norm(image), approximate=False)


def unfold(image: Tensor) -> Tensor:
    """Unfold channels (B, h, w, 4 c), c fastest, into squares of pixels: (B, 2 h, 2 w, c)."""
    _, h, w, channels = image.shape
    squares = ops.reshape(image, (-1, h, w, 2, 2, channels // 4))
    return ops.reshape(
        ops.transpose(squares, (0, 1, 3, 2, 4, 5)), (-1, 2 * h, 2 * w, channels // 4)
    )


def smooth(image: Tensor) -> Tensor:
    """Average with weights (1, 2, 1)/4 along both axes, which removes the Nyquist frequency.

    Unfolded pixels come from separate channels, which leaves a faint pattern with a period of two
    pixels.
    """
    image = ops.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    image = (image[:, :-2] + 2 * image[:, 1:-1] + image[:, 2:]) / 4
    return (image[:, :, :-2] + 2 * image[:, :, 1:-1] + image[:, :, 2:]) / 4


def unet(
    shape: tuple[int, int, int],
    channels_out: int,
    width: int,
    *,
    levels: int = 3,
    name: str,
    dtype: Any = None,
) -> keras.Model:
    """Make a U-Net that works at half resolution and returns full resolution.

    The first convolution has a stride of two, and the last channels unfold into squares of 2 x 2
    pixels: everything between costs a quarter. The last layer starts at zero, so an untrained
    network returns zero.

    Parameters
    ----------
    shape
        Image ``(H, W, channels)`` in; H and W multiples of ``2**levels``.
    channels_out
        Image planes out.
    width
        Channels of the finest level; doubled at each coarser one.
    levels
        Number of levels.
    name
        Prefix of the names of its layers.
    dtype
        Number format of the layers.
    """
    widths = [width * 2**level for level in range(levels)]
    given = keras.Input(shape)
    features, skips = given, []
    for level, channels in enumerate(widths):
        if level:
            features = layers.MaxPooling2D(2, dtype=dtype)(features)
        features = conv_block(features, channels, f"{name}.down.{level}", dtype, halve=level == 0)
        skips.append(features)
    skips.pop()
    for level, channels in enumerate(widths[-2::-1]):
        features = layers.UpSampling2D(2, dtype=dtype)(features)
        features = ops.concatenate([features, skips.pop()], axis=-1)
        features = conv_block(features, channels, f"{name}.up.{level}", dtype)
    last = convolution(
        features, 4 * channels_out, f"{name}.last", size=1, start="zeros", dtype=dtype
    )
    return keras.Model(given, smooth(unfold(last)))
