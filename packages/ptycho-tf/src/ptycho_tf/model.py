"""The physics-constrained model: a network, and the forward model of its patches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config import ModelConfig
from ptycho_core.training_data import ScanOptics
from ptycho_physics import expected_counts, own_share, probe_weight, smoothing_envelope

from ptycho_tf import namespace as xp
from ptycho_tf.frameworks import keras, tf
from ptycho_tf.illumination import Illumination
from ptycho_tf.layout import channels_first, channels_last, positions_of_patterns
from ptycho_tf.networks import build_network
from ptycho_tf.overlap import Placement, place_apart

Tensor = Any

PRECISIONS = {"32-true": "float32", "16-mixed": "mixed_float16", "bf16-mixed": "mixed_bfloat16"}
"""Number formats of the network: name in the configuration to name in Keras."""


class PtychoModel(keras.Model):
    """Network and forward model together.

    Inputs and outputs are channels last; the physics in between works on ``(..., N, N)``.

    Parameters
    ----------
    model
        The network's configuration.
    probe : (M, N, N) complex64
        Probe modes, measured or estimated.
    bad_pixels : (N, N) bool, optional
        True where a detector pixel is bad.
    probe_trainable
        Whether training refines the probe.
    intensity_scale_trainable
        Whether training refines the intensity scale.
    movable
        Number of patterns whose positions training may refine; 0 for none.
    others
        Optics of the further scans of a training.
    precision
        Number format of the network: a key of `PRECISIONS`.

    Attributes
    ----------
    scans : list of Illumination
        Parameters of each scan.
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
        movable: int = 0,
        others: Sequence[ScanOptics] = (),
        precision: str = "32-true",
    ) -> None:
        super().__init__(dtype="float32")
        self.config = model
        self.network = build_network(model, PRECISIONS[precision])
        self.envelope = tf.constant(smoothing_envelope(model.N, model.gaussian_smoothing_sigma))
        self.log_scale = self.add_weight(
            name="log_scale", shape=(), initializer="zeros", trainable=intensity_scale_trainable
        )
        first = ScanOptics(
            probe=probe, bad_pixels=bad_pixels, probe_trainable=probe_trainable, movable=movable
        )
        optics = [first, *others]
        modes = max(len(own.probe) for own in optics)
        self.scans = [Illumination(model, own, modes, self._variable) for own in optics]
        for own, scan in zip(optics, self.scans, strict=True):
            if own.probe_of is not None:
                scan.probe_change = self.scans[own.probe_of].probe_change
        self._current: Tensor = 0
        self.built = True

    def _variable(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(name=name, shape=shape, initializer="zeros")

    def probe_changes(self) -> list[Any]:
        """Return the trainable parameters of the probes."""
        return _trainable(scan.probe_change for scan in self.scans)

    def position_shifts(self) -> list[Any]:
        """Return the trainable parameters of the positions."""
        return _trainable(scan.shifts for scan in self.scans)

    def refined(self, number: int) -> tuple[NDArray[np.complex64], NDArray[np.float32] | None]:
        """Return probe (M, N, N) and position offsets (n, 2) of a scan; None if they are fixed."""
        own = self.scans[number]
        offsets = None if own.shifts is None else own.offsets.numpy()
        return own.probe.numpy()[: own.modes], offsets

    @contextmanager
    def using(self, batch: Mapping[str, Tensor]) -> Iterator[None]:
        """Use the probe and the bad pixels of a batch's scan."""
        self._current = batch.get("scan", 0)
        try:
            yield
        finally:
            self._current = 0

    def _in_use(self, parts: Sequence[Tensor]) -> Tensor:
        if len(parts) == 1 or isinstance(self._current, int):
            return parts[0]
        return tf.gather(tf.stack(parts), self._current)

    @property
    def probe(self) -> Tensor:
        """The probe (M, N, N) complex64 in use, at unit power."""
        return self._in_use([scan.probe for scan in self.scans])

    @property
    def bad_pixels(self) -> Tensor:
        """The bad pixels (N, N) bool in use."""
        return self._in_use([scan.bad_pixels for scan in self.scans])

    def moved(self, positions: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return positions (B, 1, 2, C) of a batch's patterns with their refinement."""
        if not self.position_shifts():
            return positions
        parts = [scan.offsets for scan in self.scans]
        sizes = [int(part.shape[0]) for part in parts]
        starts = tf.constant([sum(sizes[:k]) for k in range(len(sizes))], tf.int64)
        fixed = tf.constant([scan.shifts is None for scan in self.scans])
        number, indices = batch["scan"], batch["indices"]
        rows = tf.where(tf.gather(fixed, number), tf.zeros_like(indices), indices)
        offsets = tf.gather(tf.concat(parts, 0), tf.gather(starts, number) + rows)
        return positions + tf.transpose(offsets, (0, 2, 1))[:, None]

    def diffraction_to_obj(
        self,
        x: Tensor,
        positions: Tensor,
        photons: Tensor | float,
        start: Tensor | None = None,
        light: Tensor | None = None,
    ) -> Tensor:
        """Reconstruct patches: see `ptycho_tf.networks.base.Network.call`."""
        begin = {} if start is None else {"start": start, "light": light}
        return self.network(x, positions, self.probe, self.bad_pixels, photons=photons, **begin)

    def constrain(
        self,
        patches: Tensor,
        positions: Tensor,
        canvas: Tensor,
        *,
        photons: Tensor | float | None = None,
    ) -> Tensor:
        """Make all patches of a batch consistent where they overlap, if ``object_big`` is set.

        First the global phase of each patch is matched to the others: a single pattern does not
        determine it.

        Parameters
        ----------
        patches : (B, C, N, N) complex64
            Patches of the object.
        positions : (B, 1, 2, C) float32
            Patch centres on the batch's canvas.
        canvas : (2,) int
            Shape ``(H, W)`` of the canvas.
        photons
            Mean counts per pattern. At low dose each pattern is predicted from neighbouring
            patches: its own patch gets less weight. Default: equal weights.
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
        self,
        x: Tensor,
        positions: Tensor,
        canvas: Tensor,
        photons: Tensor | float,
        start: Tensor | None = None,
        light: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct a batch and predict its diffraction.

        Returns
        -------
        patches : (B, N, N, C) complex64
            Object patches, consistent where they overlap.
        rate : (B, N, N, C) float32
            Expected counts.
        """
        patches = channels_first(self.diffraction_to_obj(x, positions, photons, start, light))
        patches = self.constrain(patches, positions, canvas)
        return channels_last(patches), channels_last(self.predict_counts(patches, photons))


def _trainable(parts: Iterable[Any]) -> list[Any]:
    # once each: scans may share a probe
    return list({id(part): part for part in parts if part is not None}.values())
