"""Convolutional layers shared by the networks."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBlock(nn.Module):
    """Two convolutions with GELU, the second one normalised over groups of channels.

    Both are 3x3. With ``halve`` the first is 6x6 with a stride of two, which covers as much of the
    image as a 3x3 convolution of the image at half size.
    """

    def __init__(self, channels_in: int, channels_out: int, *, halve: bool = False) -> None:
        super().__init__()
        self.first = (
            nn.Conv2d(channels_in, channels_out, 6, stride=2, padding=2)
            if halve
            else nn.Conv2d(channels_in, channels_out, 3, padding=1)
        )
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.norm = nn.GroupNorm(max(1, channels_out // 8), channels_out)

    def forward(self, image: Tensor, finer: Tensor | None = None) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H, W), or half of H and W.

        With ``finer`` (B, c, 2 H, 2 W) the first convolution sees the image with every pixel
        doubled, and these channels after it: (B, channels_in - c, H, W) to (B, channels_out, 2 H,
        2 W).
        """
        first = self.first(image) if finer is None else _over_doubled(self.first, image, finer)
        return F.gelu(self.norm(self.second(F.gelu(first))))


def _over_doubled(conv: nn.Conv2d, image: Tensor, finer: Tensor) -> Tensor:
    """Convolve an image with every pixel doubled along both axes, and finer channels after it.

    Several of the 3x3 pixels under a kernel on the doubled image are copies of one pixel. With a
    transposed convolution, whose kernel sums the weights of copies, four products replace nine.
    """
    doubled, fine = conv.weight.split([image.shape[1], finer.shape[1]], dim=1)
    kernel = 4 * F.avg_pool2d(doubled.flip(-2, -1), 2, stride=1, padding=1)
    above = F.conv_transpose2d(image, kernel.transpose(0, 1), stride=2, padding=1)
    return above + F.conv2d(finer, fine, conv.bias, padding=1)


def _unfolded(image: Tensor) -> Tensor:
    """Unfold channels (B, 4 c, h, w), c fastest, into squares of pixels: (B, c, 2 h, 2 w)."""
    squares = image.movedim(1, -1).unflatten(-1, (2, 2, -1))  # as channels_last lies in memory
    return squares.transpose(2, 3).flatten(1, 2).flatten(2, 3).movedim(-1, 1)


def _smooth(image: Tensor) -> Tensor:
    """Average with weights (1, 2, 1)/4 along both axes, which removes the Nyquist frequency.

    Unfolded pixels come from separate channels, which leaves a faint pattern with a period of two
    pixels.
    """
    for axis in (-2, -1):
        n = image.shape[axis]
        first, last = image.narrow(axis, 0, 1), image.narrow(axis, n - 1, 1)
        wide = torch.cat([first, image, last], dim=axis)
        between = wide.narrow(axis, 0, n + 1) + wide.narrow(axis, 1, n + 1)
        image = (between.narrow(axis, 0, n) + between.narrow(axis, 1, n)) / 4
    return image


class UNet(nn.Module):
    """A U-Net that works at half resolution and returns full resolution.

    The first convolution has a stride of two, and the last channels unfold into squares of 2 x 2
    pixels: everything between costs a quarter. The last layer starts at zero, so an untrained
    network returns zero. It is size-agnostic: H and W need only be multiples of ``2**levels``.

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
        first = ConvBlock(channels_in, width, halve=True)
        below = (ConvBlock(a, b) for a, b in itertools.pairwise(widths))
        self.down = nn.ModuleList([first, *below])
        self.up = nn.ModuleList(
            ConvBlock(coarse + fine, fine)
            for coarse, fine in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(width, 4 * channels_out, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H, W)."""
        features = image.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(F.max_pool2d(features, 2) if level else features)
            skips.append(features)
        skips.pop()
        for block in self.up:
            features = block(features, skips.pop())
        return _smooth(_unfolded(self.last(features)))
