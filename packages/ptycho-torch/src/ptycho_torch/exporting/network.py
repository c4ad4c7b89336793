"""The network of a bundle for single patterns, with real numbers at its borders.

It reconstructs every pattern of a batch alone, as ``ptycho infer`` does with a bundle whose stages
are not joint.
"""

from typing import Any

import torch
from ptycho_config import ModelConfig
from ptycho_physics import input_scale, inscribed_circle
from ptycho_physics import unrolled as physics
from torch import Tensor, nn

from ptycho_torch.exporting import pairs
from ptycho_torch.exporting.pairs import Pair
from ptycho_torch.networks import Network
from ptycho_torch.networks.unrolled import Unrolled
from ptycho_torch.overlap import GroupCanvases

__all__ = ["MEASURED", "START", "SinglePatterns"]

MEASURED = ("counts", "photons", "probe_real", "probe_imag", "bad_pixels")
"""Inputs of every network."""

START = ("start_real", "start_imag", "light")
"""Further inputs of a network that starts from an estimate of the whole scan."""


class SinglePatterns(nn.Module):
    """A network with its physics steps, from counts and probe to patches.

    Parameters
    ----------
    network
        A trained network for one pattern per group.
    model
        Its settings.
    """

    circle: Tensor | None

    def __init__(self, network: Network, model: ModelConfig) -> None:
        super().__init__()
        self.network = network
        self.N = model.N
        circle = torch.from_numpy(inscribed_circle(model.N)).float() if model.probe_mask else None
        self.register_buffer("circle", circle, persistent=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in order: those of `forward`."""
        return (*MEASURED, *(START if self.network.starts_from_scan else ()))

    @property
    def real_valued(self) -> bool:
        """Whether the steps of the network are known without complex numbers."""
        return isinstance(self.network, Unrolled)

    def forward(
        self,
        counts: Tensor,
        photons: Tensor,
        probe_real: Tensor,
        probe_imag: Tensor,
        bad_pixels: Tensor,
        *start: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct patches.

        Parameters
        ----------
        counts : (B, N, N) float32
            Patterns, zero frequency at pixel ``[N//2, N//2]``.
        photons : () float32
            Mean counts per pattern of the scan.
        probe_real, probe_imag : (M, N, N) float32
            Probe modes, at any power.
        bad_pixels : (N, N) bool
            True where a detector pixel is bad.
        start
            Of a network that starts from an estimate of the whole scan: real and imaginary part of
            its patches, and the light on them, each (B, N, N).

        Returns
        -------
        object_real, object_imag : (B, N, N) float32
            Patches, each centred on its own position.
        """
        power = (probe_real * probe_real + probe_imag * probe_imag).sum()
        factor = power.rsqrt() if self.circle is None else self._masked(probe_real, probe_imag)
        probe = Pair(probe_real * factor, probe_imag * factor)
        x = counts.unsqueeze(1).sqrt() * (input_scale(1.0, self.N) / photons.sqrt())
        more = [part.unsqueeze(1) for part in start]
        steps = self._in_pairs if self.real_valued else self._in_complex
        patches = steps(x, probe, bad_pixels, photons, more)
        return patches.real.squeeze(1), patches.imag.squeeze(1)

    def _masked(self, real: Tensor, imag: Tensor) -> Tensor:
        power = ((real * real + imag * imag) * self.circle).sum()
        return self.circle * power.rsqrt()

    def _in_pairs(
        self, x: Tensor, probe: Pair, bad_pixels: Tensor, photons: Tensor, start: list[Tensor]
    ) -> Pair:
        """Run the steps of `ptycho_physics.unrolled` with real numbers."""
        xp: Any = pairs
        # the places of single patterns on their canvases do not matter
        canvases = GroupCanvases(torch.zeros(1, 1, 2), (0, 0))
        measured = (*physics.detector_arrays(x, bad_pixels, xp=xp), probe, photons)
        if start:
            real, imag, light = start
            estimate = Pair(real, imag)
        else:
            estimate, light = physics.low_resolution_estimate(*measured, canvases, xp=xp), None
        mode = physics.strongest_mode(probe, xp=xp)
        patches: Pair = physics.run_stages(
            [_Correction(unet) for unet in self.network.corrections],
            *measured,
            canvases,
            mode=Pair(mode.real.expand(x.shape), mode.imag.expand(x.shape)),
            estimate=estimate,
            light=light,
            xp=xp,
        )
        return patches

    def _in_complex(
        self, x: Tensor, probe: Pair, bad_pixels: Tensor, photons: Tensor, start: list[Tensor]
    ) -> Pair:
        """Run any network as it is, with complex numbers inside."""
        more = [torch.complex(*start[:2]), *start[2:]] if start else []
        positions = x.new_zeros((x.shape[0], 1, 1, 2))
        modes = torch.complex(probe.real, probe.imag)
        patches = self.network(x, positions, modes, bad_pixels, photons, *more)
        return Pair(patches.real, patches.imag)


class _Correction:
    """The output of a U-Net for real planes (B, 1, N, N), as a pair of that shape."""

    def __init__(self, unet: nn.Module) -> None:
        self.unet = unet

    def __call__(self, planes: list[Tensor]) -> Pair:
        change = self.unet(torch.cat(planes, dim=1))
        return Pair(change[:, :1], change[:, 1:])
