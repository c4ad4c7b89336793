"""The physics-constrained model: a network, and the diffraction its patches would give."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config import ModelConfig
from ptycho_physics import (
    expected_counts,
    inscribed_circle,
    normalise_probe,
    own_share,
    prepare_probe,
    probe_weight,
    smoothing_envelope,
)

from ptycho_tf import namespace as xp
from ptycho_tf.frameworks import keras, tf
from ptycho_tf.layout import channels_first, channels_last, positions_of_patterns
from ptycho_tf.networks import build_network
from ptycho_tf.overlap import Placement, place_apart

Tensor = Any

PRECISIONS = {"32-true": "float32", "16-mixed": "mixed_float16", "bf16-mixed": "mixed_bfloat16"}
"""Number formats of the network, as the configuration and as Keras names them."""


class PtychoModel(keras.Model):
    """Network and forward model together.

    What comes in and goes out is channels last; the physics in between works on ``(..., N, N)``.

    Parameters
    ----------
    model
        The network's configuration.
    probe : (M, N, N) complex64
        Probe modes as measured or guessed.
    bad_pixels : (N, N) bool, optional
        True where the detector is not to be believed.
    probe_trainable
        Let training refine the probe.
    intensity_scale_trainable
        Let training refine the intensity scale.
    precision
        Number format of the network: a key of `PRECISIONS`.

    Attributes
    ----------
    log_scale : ()
        Logarithm of a factor on the predicted amplitude, zero before training.
    """

    def __init__(
        self,
        model: ModelConfig,
        probe: NDArray[np.complex64],
        bad_pixels: NDArray[np.bool_] | None = None,
        *,
        probe_trainable: bool = False,
        intensity_scale_trainable: bool = True,
        precision: str = "32-true",
    ) -> None:
        super().__init__(dtype="float32")
        self.config = model
        self.network = build_network(model, PRECISIONS[precision])
        start = prepare_probe(probe, model.N, masked=model.probe_mask)
        shape = (model.N, model.N)
        bad = np.zeros(shape, dtype=bool) if bad_pixels is None else bad_pixels
        self.probe_start = tf.constant(start)
        self.bad_pixels = tf.constant(bad)
        self.envelope = tf.constant(smoothing_envelope(model.N, model.gaussian_smoothing_sigma))
        self.log_scale = self.add_weight(
            name="log_scale", shape=(), initializer="zeros", trainable=intensity_scale_trainable
        )
        self.probe_change = None
        circle = inscribed_circle(model.N) if model.probe_mask else None
        self.inside = None if circle is None else tf.constant(circle, tf.complex64)
        if probe_trainable:
            # In units of the probe's rms, so that one learning rate suits probe and network.
            self.probe_change = self.add_weight(
                name="probe_change", shape=(*start.shape, 2), initializer="zeros"
            )
            self.probe_rms = float(np.sqrt(np.mean(np.abs(start) ** 2)))
        self.built = True

    @property
    def probe(self) -> Tensor:
        """The probe (M, N, N) complex64 in use, at unit power."""
        if self.probe_change is None:
            return self.probe_start
        change = self.probe_rms * tf.convert_to_tensor(self.probe_change)
        change = tf.complex(change[..., 0], change[..., 1])
        if self.inside is not None:
            change = change * self.inside
        return normalise_probe(self.probe_start + change, xp=xp)

    def diffraction_to_obj(self, x: Tensor, positions: Tensor, photons: Tensor | float) -> Tensor:
        """Reconstruct patches: see `ptycho_tf.networks.base.Network.call`."""
        return self.network(x, positions, self.probe, self.bad_pixels, photons=photons)

    def constrain(
        self,
        patches: Tensor,
        positions: Tensor,
        canvas: Tensor,
        *,
        photons: Tensor | float | None = None,
    ) -> Tensor:
        """Make all patches of a batch agree where they overlap, when ``object_big`` is set.

        First each takes the phase in which it overlaps best: one pattern does not tell it.

        Parameters
        ----------
        patches : (B, C, N, N) complex64
            Patches of the object.
        positions : (B, 1, 2, C) float32
            Patch centres on the batch's canvas.
        canvas : (2,) int
            Its shape ``(H, W)``.
        photons
            Mean counts per pattern, where each pattern is to be explained from the others, as far
            as so many photons ask for it. Default: all count alike.
        """
        if not self.config.object_big:
            return patches
        where = positions_of_patterns(positions)
        place = Placement.of(where, canvas, self.config.N)
        weight = probe_weight(self.probe, xp=xp)
        patches = patches * place.phases_in_agreement(patches, weight)
        if photons is None:
            return place.agree(patches, weight)
        alone = place_apart(where, self.config.N, whole_pixels=True)
        share = own_share(photons, tf.stop_gradient(self.probe), xp=xp)
        return place.agree_with_others(patches, weight, alone, share)

    def predict_counts(self, patches: Tensor, photons: Tensor | float) -> Tensor:
        """Return the expected counts (..., N, N) behind patches (..., N, N).

        ``photons`` is the mean number of counts per pattern of the scan.
        """
        scale = tf.exp(2 * tf.convert_to_tensor(self.log_scale)) * photons
        return expected_counts(patches, self.probe, scale, xp=xp) * self.envelope

    def call(
        self, x: Tensor, positions: Tensor, canvas: Tensor, photons: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct a batch and predict its diffraction.

        Returns
        -------
        patches : (B, N, N, C) complex64
            Object patches, in agreement.
        rate : (B, N, N, C) float32
            Expected counts.
        """
        patches = channels_first(self.diffraction_to_obj(x, positions, photons))
        patches = self.constrain(patches, positions, canvas)
        return channels_last(patches), channels_last(self.predict_counts(patches, photons))
