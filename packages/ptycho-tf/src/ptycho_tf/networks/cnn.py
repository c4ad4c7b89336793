"""The plain convolutional network: an encoder and two decoders, amplitude and phase.

It learns the inversion of diffraction from the patterns. Of the probe it receives only the pattern
of the empty beam: its input channels are each pattern and the pattern's departure from that of the
empty beam (`ptycho_physics.departure_from_beam`).

The last layers start at zero, which gives a flat object, and all others with He's initial weights.
Glorot's would halve the power of the signal in each layer: the output of a deep network would be
mostly its biases, the same for all patterns.
"""

import math
from collections.abc import Callable
from typing import Any

from ptycho_config import ModelConfig
from ptycho_core.networks import CNN_PERIPHERY_CHANNELS, UNIT_SWISH, cnn_channels
from ptycho_physics import departure_from_beam

from ptycho_tf import namespace as xp
from ptycho_tf.frameworks import keras, tf
from ptycho_tf.layout import channels_first, channels_last
from ptycho_tf.networks.base import Network, Tensor
from ptycho_tf.networks.blocks import convolution

layers, ops = keras.layers, keras.ops

# Each activation is scaled or shifted so that zero gives an object of unit amplitude.
AMPLITUDE_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda h: 2 * tf.sigmoid(h),
    "swish": lambda h: tf.nn.silu(h + UNIT_SWISH),
    "softplus": lambda h: tf.nn.softplus(h) / math.log(2),
    "relu": lambda h: tf.nn.relu(h + 1),
}


def _conv_pair(image: Tensor, channels: int, name: str, dtype: Any) -> Tensor:
    for place in (0, 2):  # numbered with the activations in between
        image = convolution(image, channels, f"{name}.{place}", start="he", dtype=dtype)
        image = ops.relu(image)
    return image


def _decode(
    features: Tensor, model: ModelConfig, widths: list[int], name: str, dtype: Any
) -> Tensor:
    """Decode features to one real plane per channel of the group, (B, N, N, C).

    With ``pad_object`` the central N/2 pixels are decoded at full resolution; the periphery is
    zero or, with ``probe_big``, decoded from a few channels at an eighth of the resolution.
    """
    ups, central, image = widths[::-1], model.pad_object, features
    # every encoder level halves; decoding the centre alone needs one doubling less
    for level in range(len(widths) - 1 if central else len(widths)):
        channels = ups[min(level + 1, len(ups) - 1)]
        image = _conv_pair(image, channels, f"{name}.body.{2 * level}", dtype)
        image = layers.UpSampling2D(2, dtype=dtype)(image)
    plane = convolution(image, model.channels, f"{name}.head", start="zeros", dtype=dtype)
    if not central:
        return plane
    rim = model.N // 4
    frame = ((0, 0), (rim, rim), (rim, rim), (0, 0))
    plane = ops.pad(plane, frame)
    if not model.probe_big:
        return plane
    around = convolution(
        features, CNN_PERIPHERY_CHANNELS, f"{name}.periphery.0", start="he", dtype=dtype
    )
    around = convolution(
        ops.relu(around), model.channels, f"{name}.periphery.2", start="zeros", dtype=dtype
    )
    around = ops.image.resize(around, (model.N, model.N), interpolation="bilinear")
    outside = 1 - ops.pad(ops.ones((1, 2 * rim, 2 * rim, 1), plane.dtype), frame)
    return plane + ops.cast(around, plane.dtype) * outside


class CNN(Network):
    """Encoder-decoder network: see the module's description.

    Parameters
    ----------
    model
        ``N`` sets the depth, ``n_filters_scale`` the width, ``gridsize`` the channels in and out,
        ``amp_activation`` the range of the amplitude.
    dtype
        Number format of the convolutions, by its name in Keras.
    """

    recommended_scheduler = "ReduceLROnPlateau"
    starts_blind = True

    def __init__(self, model: ModelConfig, dtype: Any = None) -> None:
        super().__init__()
        widths = cnn_channels(model)
        self.N = model.N
        self.activation = AMPLITUDE_ACTIVATIONS[model.amp_activation]
        given = keras.Input((model.N, model.N, 2 * model.channels))
        features = given
        for level, channels in enumerate(widths):
            features = _conv_pair(features, channels, f"encoder.{level}.0", dtype)
            features = layers.MaxPooling2D(2, dtype=dtype)(features)
        planes = [_decode(features, model, widths, name, dtype) for name in ("amplitude", "phase")]
        self.parts = [keras.Model(given, planes)]

    def call(
        self,
        x: Tensor,
        positions: Tensor,  # noqa: ARG002 - part of the interface, not used here
        probe: Tensor,
        bad_pixels: Tensor,
        photons: Tensor | float = math.inf,  # noqa: ARG002
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups: see `Network.call`.

        Raises
        ------
        ValueError
            If the patterns are not of the size the network was built for.
        """
        if x.shape[1] != self.N:
            msg = f"cnn: built for N={self.N}, found patterns of N={x.shape[1]}; train at that size"
            raise ValueError(msg)
        departure = departure_from_beam(
            channels_first(x), tf.stop_gradient(probe), bad_pixels, xp=xp
        )
        x = tf.where(bad_pixels[..., None], tf.zeros_like(x), x)
        amplitude, phase = self.parts[0](tf.concat([channels_last(departure), x], axis=-1))
        # in float32 before the activation: half precision would leave few grey levels
        amplitude = self.activation(tf.cast(amplitude, tf.float32))
        phase = math.pi * tf.tanh(tf.cast(phase, tf.float32))
        return tf.complex(amplitude * tf.cos(phase), amplitude * tf.sin(phase))
