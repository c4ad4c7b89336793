r"""Unrolled phase retrieval: physics steps with learned corrections in between.

The probe is known, so the network need not learn to invert a Fourier transform. From a flat
object it repeats: replace the modulus of the predicted diffraction by the measured one, carry the
change back to the object with the probe's own preconditioner,

.. math:: \Delta O = \frac{\sum_m \bar P_m R_m}{(1 - a) \sum_m |P_m|^2 + a \max \sum_m |P_m|^2}

(the regularised PIE of A. Maiden, D. Johnson and P. Li, *Optica* 4, 736, 2017), and let a U-Net
that sees the estimate, the step and the probe add what physics alone misses. Patches of a group
share one canvas at every step. Because the probe is an input, a trained network takes any probe.
"""

import torch
from ptycho_config import ModelConfig
from ptycho_physics import probe_intensity, probe_weight
from torch import Tensor, nn

from ptycho_torch.networks.base import Network
from ptycho_torch.networks.blocks import UNet
from ptycho_torch.overlap import GroupCanvases

STAGES = 3
PHYSICS_STEPS_FIRST = 5
RELAXATION = 0.05
SMALLEST_MODULUS = 1e-6
WIDTH_PER_SCALE = 8


def _planes(fields: list[Tensor]) -> Tensor:
    """Stack complex fields (B, N, N) as real planes (B, 2 * len, N, N)."""
    return torch.cat([torch.view_as_real(field).movedim(-1, 1) for field in fields], dim=1)


class Unrolled(Network):
    """See the module's description.

    Parameters
    ----------
    model
        ``n_filters_scale`` sets the width of the U-Nets; any ``N`` and ``gridsize`` will do.
    """

    recommended_scheduler = "WarmupCosine"

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        width = WIDTH_PER_SCALE * model.n_filters_scale
        self.corrections = nn.ModuleList(UNet(6, 2, width) for _ in range(STAGES))

    def forward(self, x: Tensor, positions: Tensor, probe: Tensor, bad_pixels: Tensor) -> Tensor:
        """Reconstruct the patches of a batch of groups: see `Network.forward`."""
        N = x.shape[-1]
        canvases = GroupCanvases.of(positions, N)
        # sqrt(counts / mean counts), zero frequency in the corner where the FFT leaves it
        amplitude = torch.fft.ifftshift(x * (2 / N), dim=(-2, -1))
        good = torch.fft.ifftshift(~bad_pixels, dim=(-2, -1)).to(amplitude.dtype)
        strongest = probe[probe.abs().square().sum((-2, -1)).argmax()]
        # The phase of a probe is a matter of taste: its brightest part is shown at phase zero.
        phase = (strongest * strongest.abs()).sum()
        strongest = strongest * (phase.conj() / phase.abs().clamp(min=SMALLEST_MODULUS))
        shape_of_probe = (strongest / strongest.abs().max()).expand(x.shape).flatten(0, 1)
        patches = torch.ones(x.shape, dtype=torch.complex64, device=x.device)
        for _ in range(PHYSICS_STEPS_FIRST):
            patches = patches + self._step(patches, amplitude, good, probe, canvases)
        for correct in self.corrections:
            step = self._step(patches, amplitude, good, probe, canvases)
            patches = patches + step
            fields = [patches.flatten(0, 1), step.flatten(0, 1), shape_of_probe]
            change = correct(_planes(fields)).float().movedim(1, -1).contiguous()
            patches = patches + torch.view_as_complex(change).view(x.shape)
            patches = canvases.agree(patches, probe_weight(probe))
        return patches

    @staticmethod
    def _step(
        patches: Tensor, amplitude: Tensor, good: Tensor, probe: Tensor, canvases: GroupCanvases
    ) -> Tensor:
        """Return the physics step (B, C, N, N) of every patch, agreed within groups."""
        fields = torch.fft.fft2(patches.unsqueeze(-3) * probe, norm="ortho")
        # The offset keeps the square root differentiable where no light is predicted.
        modulus = (fields.real.square() + fields.imag.square()).sum(-3)
        modulus = (modulus + SMALLEST_MODULUS**2).sqrt()
        ratio = (amplitude / (modulus + SMALLEST_MODULUS) - 1) * good
        residual = torch.fft.ifft2(fields * ratio.unsqueeze(-3), norm="ortho")
        gradient = (probe.conj() * residual).sum(-3)
        light = probe_intensity(probe)
        return canvases.precondition(gradient, light, RELAXATION)
