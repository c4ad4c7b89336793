import pytest
import torch
from ptycho_torch.networks.blocks import ConvBlock, UNet
from torch.nn import functional as F


@pytest.mark.parametrize("size", [(64, 64), (32, 48), (128, 128)])
def test_untrained_it_returns_zero_at_any_size(size):
    network = UNet(6, 2, 8)
    assert torch.equal(network(torch.randn(2, 6, *size)), torch.zeros(2, 2, *size))


def test_nothing_alternates_between_neighbouring_pixels():
    """What separate channels write to odd and even pixels must not show as a mesh."""
    network = UNet(6, 2, 8)
    torch.nn.init.normal_(network.last.bias, std=1.0)  # eight channels, eight different values
    with torch.no_grad():
        image = network(torch.randn(1, 6, 32, 32))[0, :, 1:-1, 1:-1]
    means = network.last.bias.detach().view(4, 2).mean(dim=0)  # a channel for each pixel of four
    expected = means[:, None, None].expand_as(image)
    torch.testing.assert_close(image, expected)


def test_levels_double_the_width():
    network = UNet(6, 2, 8, levels=4)
    assert [block.first.out_channels for block in network.down] == [8, 16, 32, 64]
    assert [block.first.out_channels for block in network.up] == [32, 16, 8]


def test_what_is_coarse_is_seen_with_every_pixel_doubled():
    block = ConvBlock(5 + 3, 4).double()
    coarse = torch.randn(2, 5, 6, 7, dtype=torch.float64)
    finer = torch.randn(2, 3, 12, 14, dtype=torch.float64)
    doubled = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
    torch.testing.assert_close(block(coarse, finer), block(torch.cat([doubled, finer], dim=1)))
