r"""Unrolled phase retrieval: physics steps with learned corrections in between.

The probe is known, so the network need not learn to invert a Fourier transform. From a flat
object it repeats: replace the modulus of the predicted diffraction by the measured one, carry the
change back to the object with the probe's own preconditioner,

.. math:: \Delta O = \frac{\sum_m \bar P_m R_m}{(1 - a) \sum_m |P_m|^2 + a \max \sum_m |P_m|^2}

(the regularised PIE of A. Maiden, D. Johnson and P. Li, *Optica* 4, 736, 2017), and let a U-Net
add what physics alone misses. Patches of a group share one canvas at every step. Because the probe
is an input, a trained network takes any probe.

**A guide to the slow phases.** From a flat start the plain step stalls: pixel noise fits a single
pattern as well as the object does. A smooth object has fewer unknowns than a pattern has pixels.
`GUIDE_STEPS` steps from flat find it, numerator and denominator smoothed alike by Gaussians that
shrink from `COARSEST` to `FINEST` (standard deviations, parts of N), with momentum (Y. Nesterov,
1983), and with the part of the step that turns the phase taken `PHASE_GAIN` times, because patterns
respond more weakly to it. The guide carries no gradient and is only looked at.

**The frame of the object.** A phase factor on the object changes no pattern, so a network should
not depend on it: what it learned where the mean phase was one must hold where it is another. With
:math:`u = O / \sqrt{|O|^2 + \epsilon^2}` and the guide G a U-Net sees the real planes

    |O|,  Re(dO u*),  Im(dO u*),  Im(u_right u_left*),  Im(u_below u_above*),  Re(P),  Im(P),
    Re(G u*),  Im(G u*)

in this order, where ``|O|`` stands for the root above, neighbours are those of each pixel in the
patch taken as periodic, and P is the strongest mode at unit maximum with its brightest part at
phase zero. What it returns, ``a`` and ``b``, is added as ``(a + i b) u``.
"""

import math

import torch
from ptycho_config import ModelConfig
from ptycho_physics import modulus_ratio, probe_intensity, probe_weight
from torch import Tensor, nn

from ptycho_torch.networks.base import Network
from ptycho_torch.networks.blocks import UNet
from ptycho_torch.overlap import GroupCanvases

STAGES = 3
RELAXATION = 0.05
SMALLEST_MODULUS = 3e-4
"""Of a predicted field whose phase is believed, where the rms over a pattern is ``1 / N``: smaller
ones hold rounding, which the measured modulus would blow up (the backends then part at 1e-3)."""
WIDTH_PER_SCALE = 8
PLANES = 9

GUIDE_STEPS = 12
COARSEST, FINEST = 14 / 64, 4 / 64
MOMENTUM = 0.95
PHASE_GAIN = 3.0

SMALLEST_OBJECT = 0.1
"""The epsilon of the object's frame, where an object that does not absorb is one."""


class Unrolled(Network):
    """See the module's description.

    Parameters
    ----------
    model
        ``n_filters_scale`` sets the width of the U-Nets; any ``N`` and ``gridsize`` will do.
    """

    recommended_scheduler = "WarmupCosine"
    any_size = True

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        width = WIDTH_PER_SCALE * model.n_filters_scale
        self.corrections = nn.ModuleList(UNet(PLANES, 2, width) for _ in range(STAGES))

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        probe: Tensor,
        bad_pixels: Tensor,
        photons: Tensor | float = math.inf,
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups: see `Network.forward`."""
        N = x.shape[-1]
        canvases = GroupCanvases.of(positions, N)
        # sqrt(counts / mean counts), zero frequency in the corner where the FFT leaves it
        amplitude = torch.fft.ifftshift(x * (2 / N), dim=(-2, -1))
        good = torch.fft.ifftshift(~bad_pixels, dim=(-2, -1)).to(amplitude.dtype)
        shown = _shown(probe).expand(x.shape)
        patches = torch.ones(x.shape, dtype=torch.complex64, device=x.device)
        with torch.no_grad():
            guide = _guide(patches, amplitude, good, probe, canvases, photons)
        for correct in self.corrections:
            step = _step(patches, amplitude, good, probe, canvases, photons)
            patches = patches + step
            size, frame = _frame(patches)
            across, down = (_slope(frame, axis) for axis in (-1, -2))
            planes = [size, *_parts(step * frame.conj()), across, down, *_parts(shown)]
            planes += _parts(guide * frame.conj())
            image = torch.stack(planes, dim=2).flatten(0, 1)
            change = correct(image).float().movedim(1, -1).contiguous()
            patches = patches + torch.view_as_complex(change).view(x.shape) * frame
            patches = canvases.agree(patches, probe_weight(probe))
        return patches


def _parts(field: Tensor) -> tuple[Tensor, Tensor]:
    return field.real, field.imag


def _frame(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Return modulus and phase factor of patches, both tame where the object is dark."""
    size = (patches.real.square() + patches.imag.square() + SMALLEST_OBJECT**2).sqrt()
    return size, patches / size


def _slope(frame: Tensor, axis: int) -> Tensor:
    """Return the sine of the phase difference of the two neighbours of each pixel."""
    return (frame.roll(-1, axis) * frame.roll(1, axis).conj()).imag


def _shown(probe: Tensor) -> Tensor:
    """Return the strongest mode (N, N) at unit maximum, as the U-Nets see it.

    The phase of a probe is a matter of taste: its brightest part is shown at phase zero.
    """
    strongest = probe[probe.abs().square().sum((-2, -1)).argmax()]
    phase = (strongest * strongest.abs()).sum()
    strongest = strongest * (phase.conj() / phase.abs().clamp(min=SMALLEST_MODULUS))
    return strongest / strongest.abs().max()


def _smoothed(field: Tensor, sigma: float) -> Tensor:
    """Convolve fields (..., N, N), taken as periodic, with a Gaussian of ``sigma`` pixels."""
    q = torch.fft.fftfreq(field.shape[-1], device=field.device)
    transfer = torch.exp(-2 * (math.pi * sigma) ** 2 * (q**2 + q[:, None] ** 2))
    return torch.fft.ifft2(torch.fft.fft2(field) * transfer)


def _guide(
    patches: Tensor,
    amplitude: Tensor,
    good: Tensor,
    probe: Tensor,
    canvases: GroupCanvases,
    photons: Tensor | float = math.inf,
) -> Tensor:
    """Return smooth patches (B, C, N, N) that explain the patterns: see the module."""
    speed = torch.zeros_like(patches)
    for k in range(GUIDE_STEPS):
        sigma = COARSEST * (FINEST / COARSEST) ** (k / (GUIDE_STEPS - 1)) * patches.shape[-1]
        ahead = patches + MOMENTUM * speed
        _, frame = _frame(ahead)
        step = _step(ahead, amplitude, good, probe, canvases, photons, sigma) * frame.conj()
        after = ahead + torch.complex(step.real, PHASE_GAIN * step.imag) * frame
        patches, speed = after, after - patches
    return patches


def _step(
    patches: Tensor,
    amplitude: Tensor,
    good: Tensor,
    probe: Tensor,
    canvases: GroupCanvases,
    photons: Tensor | float = math.inf,
    sigma: float = 0.0,
) -> Tensor:
    """Return the physics step (B, C, N, N) of every patch, agreed within groups.

    It is smoothed by a Gaussian of ``sigma`` pixels, if any.
    """
    fields = torch.fft.fft2(patches.unsqueeze(-3) * probe, norm="ortho")
    power = (fields.real.square() + fields.imag.square()).sum(-3)
    ratio = modulus_ratio(power, amplitude, photons, smallest=SMALLEST_MODULUS) * good
    residual = torch.fft.ifft2(fields * ratio.unsqueeze(-3), norm="ortho")
    gradient = (probe.conj() * residual).sum(-3)
    light = probe_intensity(probe)
    if sigma:
        gradient, light = _smoothed(gradient, sigma), _smoothed(light, sigma).real
    return canvases.precondition(gradient, light, RELAXATION)
