"""Convolutional pieces shared by the networks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBlock(nn.Module):
    """Two 3x3 convolutions with GELU, the second one normalised over groups of channels."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.norm = nn.GroupNorm(max(1, channels_out // 8), channels_out)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H, W)."""
        return F.gelu(self.norm(self.second(F.gelu(self.first(image)))))


def _smooth(image: Tensor) -> Tensor:
    """Average over (1, 2, 1)/4 along both axes: removes exactly what alternates between pixels.

    Unfolded pixels come out of separate channels, which leaves a faint mesh of two pixels' period.
    """
    channels = image.shape[1]
    line = torch.tensor([0.25, 0.5, 0.25], dtype=image.dtype, device=image.device)
    kernel = (line * line[:, None]).expand(channels, 1, 3, 3)
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernel, groups=channels)


class UNet(nn.Module):
    """A U-Net that works at half resolution and returns full resolution.

    Pairs of pixels are folded into channels before the first convolution and unfolded after the
    last: nothing is lost, and the convolutions cost a quarter. The last layer starts at zero, so an
    untrained network returns zero. It is size-agnostic: H and W need only be multiples of
    ``2**(levels)``.

    Parameters
    ----------
    channels_in, channels_out
        Image planes in and out.
    width
        Channels of the finest level; doubled at each coarser one.
    levels
        Number of levels.
    """

    def __init__(self, channels_in: int, channels_out: int, width: int, levels: int = 3) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels)]
        inputs = [4 * channels_in, *widths[:-1]]
        self.down = nn.ModuleList(ConvBlock(a, b) for a, b in zip(inputs, widths, strict=True))
        self.up = nn.ModuleList(
            ConvBlock(coarse + fine, fine)
            for coarse, fine in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(width, 4 * channels_out, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H, W)."""
        features = F.pixel_unshuffle(image, 2).contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(F.max_pool2d(features, 2) if level else features)
            skips.append(features)
        skips.pop()
        for block in self.up:
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(torch.cat([features, skips.pop()], dim=1))
        return _smooth(F.pixel_shuffle(self.last(features), 2))
