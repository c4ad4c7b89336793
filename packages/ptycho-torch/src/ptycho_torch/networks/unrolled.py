r"""Unrolled phase retrieval: physics steps with learned corrections in between.

The probe is known, so the network need not learn to invert a Fourier transform. From a flat
object it repeats: replace the modulus of the predicted diffraction by the measured one, carry the
change back to the object with the probe's own preconditioner,

.. math:: \Delta O = \frac{\sum_m \bar P_m R_m}{(1 - a) \sum_m |P_m|^2 + a \max \sum_m |P_m|^2}

(the regularised PIE of A. Maiden, D. Johnson and P. Li, *Optica* 4, 736, 2017), and let a U-Net
add what physics alone misses. Patches of a group share one canvas at every step. Because the probe
is an input, a trained network takes any probe.

**Joint stages.** Where ``joint_stages`` asks for it, the patches of the whole batch agree between
the stages, each in the phase in which it overlaps best: what one pattern leaves open, slow phases
first, its neighbours know, and the next stage starts from it. Nothing is done where the batch is so
scattered, on a canvas over `EMPTIEST` times as large as its patches, that hardly any can overlap.

**A guide to the slow phases.** From a flat start the plain step stalls: pixel noise fits a single
pattern as well as the object does. A smooth object has fewer unknowns than a pattern has pixels;
one pixel in each square of `STRIDE` x `STRIDE` holds it. `GUIDE_STEPS` steps from flat find it,
numerator and denominator smoothed alike by Gaussians that shrink from `COARSEST` to `FINEST`
(standard deviations, parts of N), with momentum (Y. Nesterov, 1983), and with the part of the step
that turns the phase taken `PHASE_GAIN` times, because patterns respond more weakly to it. `PULL` of
what the modulus differs from one is taken back: it runs away where there is little light. The guide
carries no gradient and is only looked at.

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
from ptycho_physics.resampling import guide_maps
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

STRIDE = 4
GUIDE_STEPS = 6
COARSEST, FINEST = 14 / 64, 4 / 64
GUIDE_RELAXATION = 0.3
MOMENTUM = 0.8
PHASE_GAIN = 7.0
PULL = 0.2

EMPTIEST = 8
"""Pixels of a canvas, per pixel of the patches on it, beyond which stages look for no overlap."""

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
    has_stages = True

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.joint = model.joint_stages
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
        canvases, weight = GroupCanvases.of(positions, N), probe_weight(probe)
        together = self._together(positions, N)
        # sqrt(counts / mean counts), zero frequency in the corner where the FFT leaves it
        amplitude = torch.fft.ifftshift(x * (2 / N), dim=(-2, -1))
        good = torch.fft.ifftshift(~bad_pixels, dim=(-2, -1)).to(amplitude.dtype)
        shown = _shown(probe).expand(x.shape)
        patches = torch.ones(x.shape, dtype=torch.complex64, device=x.device)
        light = probe_intensity(probe)
        # not in half precision: it steps along small differences
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            coarse = GroupCanvases.of(positions / STRIDE, N // STRIDE)
            guide = _guide(amplitude, good, probe, photons, coarse)
        for stage, correct in enumerate(self.corrections, 1):
            step = canvases.precondition(
                _change(patches, amplitude, good, probe, photons), light, RELAXATION
            )
            patches = patches + step
            size, frame = _frame(patches)
            across, down = (_slope(frame, axis) for axis in (-1, -2))
            planes = [size, *_parts(step * frame.conj()), across, down, *_parts(shown)]
            planes += _parts(guide * frame.conj())
            image = torch.stack(planes, dim=-1).flatten(0, 1).movedim(-1, 1)  # channels_last
            change = correct(image).float().movedim(1, -1).contiguous()
            patches = patches + torch.view_as_complex(change).view(x.shape) * frame
            patches = canvases.agree(patches, weight)
            if together is not None and stage < STAGES:  # after the last one who asked sees to it
                patches = together.agree_in_phase(patches.view(1, -1, N, N), weight).view(x.shape)
        return patches

    def _together(self, positions: Tensor, N: int) -> GroupCanvases | None:
        """Return the canvas on which all patches of a batch agree between stages, if they do."""
        if not self.joint or len(positions) == 1:
            return None
        canvas = GroupCanvases.of(positions.reshape(1, -1, 1, 2), N)
        patches = canvas.positions.shape[1] * N**2
        return canvas if math.prod(canvas.shape) <= EMPTIEST * patches else None


def _parts(field: Tensor) -> tuple[Tensor, Tensor]:
    return field.real, field.imag


def _frame(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Return modulus and phase factor of patches, both tame where the object is dark."""
    size = (patches.real.square() + patches.imag.square() + SMALLEST_OBJECT**2).sqrt()
    return size, patches * (1 / size)  # a complex quotient takes far longer


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


def _along_both(matrix: Tensor, field: Tensor) -> Tensor:
    """Multiply complex images (..., n, n) from the left and the right: (..., m, m)."""
    parts = torch.stack([field.real, field.imag])
    real, imag = matrix @ parts @ matrix.T
    return torch.complex(real, imag)


def _guide(
    amplitude: Tensor, good: Tensor, probe: Tensor, photons: Tensor | float, coarse: GroupCanvases
) -> Tensor:
    """Return smooth patches (B, C, N, N) that explain the patterns: see the module.

    ``coarse`` are the canvases of patches of the pixels that hold it.
    """
    N, light = amplitude.shape[-1], probe_intensity(probe)
    maps = guide_maps(N, STRIDE, COARSEST, FINEST, GUIDE_STEPS)
    fine, smoothing = (torch.from_numpy(part).to(light.device) for part in maps)
    n = N // STRIDE
    guide = light.new_ones(*amplitude.shape[:2], n, n, dtype=probe.dtype)
    speed = torch.zeros_like(guide)
    for smooth in smoothing:
        ahead = guide + MOMENTUM * speed
        _, frame = _frame(ahead)
        there = _along_both(fine, ahead)
        change = _along_both(smooth, _change(there, amplitude, good, probe, photons))
        lit = smooth @ light @ smooth.T
        step = coarse.precondition(change, lit, GUIDE_RELAXATION) * frame.conj()
        after = ahead + torch.complex(step.real, PHASE_GAIN * step.imag) * frame
        after = torch.lerp(after, _frame(after)[1], PULL)
        guide, speed = after, after - guide
    return _along_both(fine, guide)


def _change(
    patches: Tensor, amplitude: Tensor, good: Tensor, probe: Tensor, photons: Tensor | float
) -> Tensor:
    """Return what measured moduli change of the patches' waves, seen through the probe."""
    fields = torch.fft.fft2(patches.unsqueeze(-3) * probe, norm="ortho")
    power = (fields.real.square() + fields.imag.square()).sum(-3)
    ratio = modulus_ratio(power, amplitude, photons, smallest=SMALLEST_MODULUS) * good
    residual = torch.fft.ifft2(fields * ratio.unsqueeze(-3), norm="ortho")
    return (probe.conj() * residual).sum(-3)
