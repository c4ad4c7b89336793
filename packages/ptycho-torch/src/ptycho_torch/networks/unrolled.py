"""Unrolled phase retrieval in PyTorch: the U-Nets between the steps of `ptycho_physics.unrolled`.

That module explains the network.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from ptycho_config import ModelConfig
from ptycho_config.errors import InvalidValueError
from ptycho_core.networks import unrolled_channels
from ptycho_physics import unrolled as physics
from torch import Tensor, nn

from ptycho_torch.networks.base import Network
from ptycho_torch.networks.blocks import UNet
from ptycho_torch.overlap import GroupCanvases


class Unrolled(Network):
    """Stages of a physics step and a U-Net: see `ptycho_physics.unrolled`.

    Parameters
    ----------
    model
        ``n_filters_scale`` sets the width of the U-Nets; any ``N`` and ``gridsize`` will do.
    """

    recommended_scheduler = "WarmupCosine"
    recommended_rate = 2e-3
    any_size = True
    has_stages = True
    stages, planes = physics.STAGES, physics.PLANES

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.joint = model.joint_stages
        width = unrolled_channels(model)
        self.corrections = nn.ModuleList(UNet(self.planes, 2, width) for _ in range(self.stages))

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        probe: Tensor,
        bad_pixels: Tensor,
        photons: Tensor | float = math.inf,
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups: see `Network.forward`."""
        N, stride = x.shape[-1], physics.STRIDE
        measured = (*physics.detector_arrays(x, bad_pixels), probe, photons)
        # not in half precision: it steps along small differences
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            coarse = GroupCanvases.of(positions / stride, N // stride)
            estimate = physics.low_resolution_estimate(*measured, coarse)
        return self._run(measured, positions, estimate)

    def _run(
        self,
        measured: tuple[Tensor, Tensor, Tensor, Tensor | float],
        positions: Tensor,
        estimate: Tensor,
        light: Tensor | None = None,
    ) -> Tensor:
        """Run the stages on the detector's arrays, the probe and the mean counts per pattern."""
        shape, N = measured[0].shape, measured[0].shape[-1]
        return physics.run_stages(
            [partial(_correction, unet) for unet in self.corrections],
            *measured,
            GroupCanvases.of(positions, N),
            mode=physics.strongest_mode(measured[2]).expand(shape),
            estimate=estimate,
            light=light,
            join=_joint(positions, N) if self.joint else None,
        )


class Guided(Unrolled):
    """`Unrolled` from an estimate of the whole scan, see `ptycho_physics.unrolled`."""

    starts_from_scan = True
    stages, planes = physics.GUIDED_STAGES, physics.GUIDED_PLANES

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        probe: Tensor,
        bad_pixels: Tensor,
        photons: Tensor | float = math.inf,
        start: Tensor | None = None,
        light: Tensor | None = None,
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups: see `Network.forward`."""
        if start is None or light is None:
            raise InvalidValueError("start and light", "given to this network", "None")
        measured = (*physics.detector_arrays(x, bad_pixels), probe, photons)
        return self._run(measured, positions, start, light)


def _correction(unet: nn.Module, planes: list[Tensor]) -> Tensor:
    """Return the complex output (B, C, N, N) of a U-Net for real planes of that shape."""
    image = torch.stack(planes, dim=-1).flatten(0, 1).movedim(-1, 1)  # channels_last
    change = unet(image).float().movedim(1, -1).contiguous()
    return torch.view_as_complex(change).view(planes[0].shape)


def _joint(positions: Tensor, N: int) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return what averages all patches of a batch, or None if hardly any can overlap."""
    if len(positions) == 1:
        return None
    canvas = GroupCanvases.of(positions.reshape(1, -1, 1, 2), N)
    patches = canvas.positions.shape[1] * N**2
    if math.prod(canvas.shape) > physics.MAX_CANVAS_RATIO * patches:
        return None

    def join(patches: Tensor, weight: Tensor) -> Tensor:
        return canvas.agree_in_phase(patches.view(1, -1, N, N), weight).view(patches.shape)

    return join
