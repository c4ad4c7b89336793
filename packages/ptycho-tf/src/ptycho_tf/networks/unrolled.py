"""Unrolled phase retrieval in TensorFlow: the U-Nets between steps of `ptycho_physics.unrolled`.

That module explains the network.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from ptycho_config import ModelConfig
from ptycho_config.errors import InvalidValueError
from ptycho_core.networks import unrolled_channels
from ptycho_physics import unrolled as physics

from ptycho_tf import namespace as xp
from ptycho_tf.frameworks import keras, tf
from ptycho_tf.layout import channels_first, channels_last, positions_of_patterns
from ptycho_tf.networks.base import Network, Tensor
from ptycho_tf.networks.blocks import unet
from ptycho_tf.overlap import GroupCanvases, place_apart


class Unrolled(Network):
    """Stages of a physics step and a U-Net: see `ptycho_physics.unrolled`.

    Parameters
    ----------
    model
        ``n_filters_scale`` sets the width of the U-Nets; any ``N`` and ``gridsize`` will do.
    dtype
        Number format of the convolutions, by its name in Keras.
    """

    recommended_scheduler = "WarmupCosine"
    recommended_rate = 2e-3
    any_size = True
    has_stages = True
    stages, planes = physics.STAGES, physics.PLANES

    def __init__(self, model: ModelConfig, dtype: Any = None) -> None:
        super().__init__()
        self.joint = model.joint_stages
        width, shape = unrolled_channels(model), (model.N, model.N, self.planes)
        self.parts = [
            unet(shape, 2, width, name=f"corrections.{k}", dtype=dtype) for k in range(self.stages)
        ]

    def call(
        self,
        x: Tensor,
        positions: Tensor,
        probe: Tensor,
        bad_pixels: Tensor,
        photons: Tensor | float = math.inf,
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups: see `Network.call`."""
        N, stride = x.shape[1], physics.STRIDE
        x, positions = channels_first(x), positions_of_patterns(positions)
        measured = (*physics.detector_arrays(x, bad_pixels, xp=xp), probe, photons)
        coarse = GroupCanvases.of(positions / stride, N // stride)
        estimate = physics.low_resolution_estimate(*measured, coarse, xp=xp)
        return self._run(measured, positions, estimate)

    def _run(
        self,
        measured: tuple[Tensor, Tensor, Tensor, Tensor | float],
        positions: Tensor,
        estimate: Tensor,
        light: Tensor | None = None,
    ) -> Tensor:
        """Run the stages on the detector's arrays, the probe and the mean counts per pattern."""
        amplitude, _, probe, _ = measured
        N = amplitude.shape[-1]
        patches = physics.run_stages(
            [partial(_correction, model) for model in self.parts],
            *measured,
            GroupCanvases.of(positions, N),
            mode=tf.broadcast_to(physics.strongest_mode(probe, xp=xp), tf.shape(amplitude)),
            estimate=tf.stop_gradient(estimate),
            light=light,
            join=_joint(positions, N) if self.joint else None,
            xp=xp,
        )
        return channels_last(patches)


class Guided(Unrolled):
    """`Unrolled` from an estimate of the whole scan, see `ptycho_physics.unrolled`."""

    starts_from_scan = True
    stages, planes = physics.GUIDED_STAGES, physics.GUIDED_PLANES

    def call(
        self,
        x: Tensor,
        positions: Tensor,
        probe: Tensor,
        bad_pixels: Tensor,
        photons: Tensor | float = math.inf,
        start: Tensor | None = None,
        light: Tensor | None = None,
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups: see `Network.call`."""
        if start is None or light is None:
            raise InvalidValueError("start and light", "given to this network", "None")
        x, start, light = channels_first(x), channels_first(start), channels_first(light)
        measured = (*physics.detector_arrays(x, bad_pixels, xp=xp), probe, photons)
        return self._run(measured, positions_of_patterns(positions), start, light)


def _correction(model: keras.Model, planes: list[Tensor]) -> Tensor:
    """Return the complex output (B, C, N, N) of a U-Net for real planes of that shape."""
    N = planes[0].shape[-1]
    image = tf.stack([tf.reshape(plane, (-1, N, N)) for plane in planes], axis=-1)
    change = tf.cast(model(image), tf.float32)
    return tf.reshape(tf.complex(change[..., 0], change[..., 1]), tf.shape(planes[0]))


def _joint(positions: Tensor, N: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what averages all patches of a batch, unless hardly any can overlap."""
    place = place_apart(tf.reshape(positions, (1, -1, 2)), N)

    def join(patches: Tensor, weight: Tensor) -> Tensor:
        canvas = tf.reduce_prod(tf.cast(place.shape, tf.float32))
        near = canvas <= physics.MAX_CANVAS_RATIO * tf.cast(tf.size(patches), tf.float32)

        def agreed() -> Tensor:
            return place.agree(patches * place.phases_in_agreement(patches, weight), weight)

        return tf.cond(near & (tf.shape(patches)[0] > 1), agreed, lambda: tf.identity(patches))

    return join
