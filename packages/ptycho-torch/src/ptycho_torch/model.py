"""The physics-constrained model: a network, and the forward model of its patches."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ptycho_config import ModelConfig
from ptycho_core.training_data import ScanOptics
from ptycho_physics import expected_counts, own_share, probe_weight, smoothing_envelope
from torch import Tensor, nn

from ptycho_torch._moved import MOVED
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

    Attributes
    ----------
    optics : list of ScanOptics
        What the model was made from, of each scan.
    scans : ModuleList of Illumination
        Parameters of each scan.
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
        others: Sequence[ScanOptics] = (),
    ) -> None:
        super().__init__()
        self.config = model
        self.network = build_network(model)
        first = ScanOptics(
            probe=probe, bad_pixels=bad_pixels, probe_trainable=probe_trainable, movable=movable
        )
        self.optics = [first, *others]
        self.scans = nn.ModuleList(Illumination(model, own) for own in self.optics)
        for own, scan in zip(self.optics, self.scans, strict=True):
            if own.probe_of is not None:
                scan.probe_change = self.scans[own.probe_of].probe_change
        self.current = 0
        envelope = torch.from_numpy(smoothing_envelope(model.N, model.gaussian_smoothing_sigma))
        self.register_buffer("envelope", envelope, persistent=False)
        self.log_scale = nn.Parameter(torch.zeros(()), requires_grad=intensity_scale_trainable)

    @property
    def illumination(self) -> Illumination:
        """Parameters of the current scan."""
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
        """Select the scan of a batch; return the batch's refined positions."""
        self.current = int(batch.get("scan", 0))
        positions: Tensor = batch["positions"]
        if self.illumination.shifts is None:
            return positions
        return self.illumination.move(positions, batch["indices"])

    def probe_changes(self) -> list[nn.Parameter]:
        """Return the trainable parameters of the probes."""
        return _trainable(scan.probe_change for scan in self.scans)

    def position_shifts(self) -> list[nn.Parameter]:
        """Return the trainable parameters of the positions."""
        return _trainable(scan.shifts for scan in self.scans)

    def refined(self, number: int) -> tuple[NDArray[np.complex64], NDArray[np.float32] | None]:
        """Return probe (M, N, N) and position offsets (n, 2) of a scan; None if they are fixed."""
        own = self.scans[number]
        offsets = None if own.offsets is None else own.offsets.detach().cpu().numpy()
        return own.probe.detach().cpu().numpy(), offsets

    def diffraction_to_obj(
        self, x: Tensor, positions: Tensor, photons: Tensor | float, *start: Tensor
    ) -> Tensor:
        """Reconstruct patches: see `ptycho_torch.networks.base.Network.forward`."""
        return self.network(x, positions, self.probe, self.bad_pixels, photons, *start)

    def constrain(
        self,
        patches: Tensor,
        positions: Tensor,
        canvas: tuple[int, int],
        *,
        probe: Tensor | None = None,
        photons: Tensor | float | None = None,
    ) -> Tensor:
        """Make all patches of a batch consistent where they overlap, if ``object_big`` is set.

        First the global phase of each patch is matched to the others: a single pattern does not
        determine it.

        Parameters
        ----------
        patches : (B, C, N, N) complex64
            Output of the network.
        positions : (B, C, 1, 2) float
            Patch centres on the batch's canvas.
        canvas
            Shape ``(H, W)`` of the canvas.
        probe : (M, N, N) complex64, optional
            Probe to use instead of the current one.
        photons
            Mean counts per pattern. At low dose each pattern is predicted from neighbouring
            patches: its own patch gets less weight. Default: equal weights.
        """
        if not self.config.object_big:
            return patches
        used = self.probe if probe is None else probe
        weight = probe_weight(used)
        where = positions.squeeze(-2)
        patches = patches * phases_in_agreement(patches, where, weight, canvas)
        if photons is None:
            return agree(patches, where, weight, canvas)
        share = own_share(photons, used.detach())
        return agree_with_others(patches, positions, weight, canvas, share)

    def predict_counts(
        self, patches: Tensor, photons: Tensor | float, *, probe: Tensor | None = None
    ) -> Tensor:
        """Return the expected counts (B, C, N, N) behind patches (B, C, N, N).

        ``photons`` is the mean number of counts per pattern of the scan; ``probe`` replaces
        the current one.
        """
        scale = torch.exp(2 * self.log_scale) * photons
        used = self.probe if probe is None else probe
        return expected_counts(patches, used, scale) * self.envelope

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        canvas: tuple[int, int],
        photons: Tensor | float,
        *start: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct a batch and predict its diffraction.

        Returns
        -------
        patches : (B, C, N, N) complex64
            Object patches, consistent where they overlap.
        rate : (B, C, N, N) float32
            Expected counts.
        """
        patches = self.diffraction_to_obj(x, positions, photons, *start)
        patches = self.constrain(patches, positions, canvas)
        return patches, self.predict_counts(patches, photons)


def _trainable(parts: Iterable[Any]) -> list[nn.Parameter]:
    # once each: scans may share a probe
    return list(dict.fromkeys(part for part in parts if part is not None))


__getattr__ = MOVED.in_module(__name__)
