"""The physics-constrained model: a network, and the diffraction its patches would give."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ptycho_config import ModelConfig
from ptycho_physics import expected_counts, own_share, probe_weight, smoothing_envelope
from torch import Tensor, nn

from ptycho_torch.illumination import Illumination
from ptycho_torch.networks import build_network
from ptycho_torch.overlap import agree, agree_with_others, phases_in_agreement


class PtychoModel(nn.Module):
    """Network and forward model together.

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
    movable
        Number of patterns whose positions training may refine; 0 for none.

    Attributes
    ----------
    scans : ModuleList of Illumination
        What belongs to each scan; one, unless training added more.
    current : int
        Number of the scan whose probe and bad pixels are in use.
    log_scale : ()
        Logarithm of a factor on the predicted amplitude, zero before training.
    """

    envelope: Tensor

    def __init__(
        self,
        model: ModelConfig,
        probe: NDArray[np.complex64],
        bad_pixels: NDArray[np.bool_] | None = None,
        *,
        probe_trainable: bool = False,
        intensity_scale_trainable: bool = True,
        movable: int = 0,
    ) -> None:
        super().__init__()
        self.config = model
        self.network = build_network(model)
        first = Illumination(
            model, probe, bad_pixels, probe_trainable=probe_trainable, movable=movable
        )
        self.scans = nn.ModuleList([first])
        self.current = 0
        envelope = torch.from_numpy(smoothing_envelope(model.N, model.gaussian_smoothing_sigma))
        self.register_buffer("envelope", envelope, persistent=False)
        self.log_scale = nn.Parameter(torch.zeros(()), requires_grad=intensity_scale_trainable)

    @property
    def illumination(self) -> Illumination:
        """What belongs to the scan in use."""
        found = self.scans[self.current]
        assert isinstance(found, Illumination)  # noqa: S101 - a ModuleList forgets its type
        return found

    @property
    def probe(self) -> Tensor:
        """The probe (M, N, N) complex64 in use, at unit power."""
        return self.illumination.probe

    @property
    def bad_pixels(self) -> Tensor:
        """The bad pixels (N, N) bool in use."""
        return self.illumination.bad_pixels

    def use(self, batch: Mapping[str, Any]) -> Tensor:
        """Take the probe and the bad pixels of a batch's scan; return its refined positions."""
        self.current = int(batch.get("scan", 0))
        positions: Tensor = batch["positions"]
        if self.illumination.shifts is None:
            return positions
        return self.illumination.move(positions, batch["indices"])

    def probe_changes(self) -> list[nn.Parameter]:
        """Return what training may change of the probes."""
        return _trainable(scan.probe_change for scan in self.scans)

    def position_shifts(self) -> list[nn.Parameter]:
        """Return what training may change of the positions."""
        return _trainable(scan.shifts for scan in self.scans)

    def diffraction_to_obj(self, x: Tensor, positions: Tensor, photons: Tensor | float) -> Tensor:
        """Reconstruct patches: see `ptycho_torch.networks.base.Network.forward`."""
        return self.network(x, positions, self.probe, self.bad_pixels, photons)

    def constrain(
        self,
        patches: Tensor,
        positions: Tensor,
        canvas: tuple[int, int],
        *,
        probe: Tensor | None = None,
        photons: Tensor | float | None = None,
    ) -> Tensor:
        """Make all patches of a batch agree where they overlap, when ``object_big`` is set.

        First each takes the phase in which it overlaps best: one pattern does not tell it.

        Parameters
        ----------
        patches : (B, C, N, N) complex64
            As the network gives them.
        positions : (B, C, 1, 2) float
            Patch centres on the batch's canvas.
        canvas
            Its shape ``(H, W)``.
        probe : (M, N, N) complex64, optional
            Another probe than the one in use.
        photons
            Mean counts per pattern, where each pattern is to be explained from the others, as far
            as so many photons ask for it. Default: all count alike.
        """
        if not self.config.object_big:
            return patches
        lit = self.probe if probe is None else probe
        weight = probe_weight(lit)
        where = positions.squeeze(-2)
        patches = patches * phases_in_agreement(patches, where, weight, canvas)
        if photons is None:
            return agree(patches, where, weight, canvas)
        share = own_share(photons, lit.detach())
        return agree_with_others(patches, positions, weight, canvas, share)

    def predict_counts(
        self, patches: Tensor, photons: Tensor | float, *, probe: Tensor | None = None
    ) -> Tensor:
        """Return the expected counts (B, C, N, N) behind patches (B, C, N, N).

        ``photons`` is the mean number of counts per pattern of the scan; ``probe`` stands in for
        the one in use.
        """
        scale = torch.exp(2 * self.log_scale) * photons
        lit = self.probe if probe is None else probe
        return expected_counts(patches, lit, scale) * self.envelope

    def forward(
        self, x: Tensor, positions: Tensor, canvas: tuple[int, int], photons: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct a batch and predict its diffraction.

        Returns
        -------
        patches : (B, C, N, N) complex64
            Object patches, in agreement.
        rate : (B, C, N, N) float32
            Expected counts.
        """
        patches = self.constrain(self.diffraction_to_obj(x, positions, photons), positions, canvas)
        return patches, self.predict_counts(patches, photons)


def _trainable(parts: Iterable[Any]) -> list[nn.Parameter]:
    # once each: scans may share a probe
    return list(dict.fromkeys(part for part in parts if part is not None))
