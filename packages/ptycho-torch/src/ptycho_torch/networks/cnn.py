"""The plain convolutional network: an encoder and two decoders, amplitude and phase.

It learns the inversion of diffraction from the patterns. Of the probe it receives only the pattern
of the empty beam: its input channels are each pattern and the pattern's departure from that of the
empty beam (`ptycho_physics.departure_from_beam`).
"""

import math
from collections.abc import Callable

import torch
from ptycho_config import ModelConfig
from ptycho_config.errors import InvalidValueError
from ptycho_core.networks import CNN_PERIPHERY_CHANNELS, UNIT_SWISH, cnn_channels
from ptycho_physics import departure_from_beam
from torch import Tensor, nn
from torch.nn import functional as F

from ptycho_torch.networks.base import Network

# Each activation is scaled or shifted so that zero gives an object of unit amplitude.
AMPLITUDE_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda h: 2 * torch.sigmoid(h),
    "swish": lambda h: F.silu(h + UNIT_SWISH),
    "softplus": lambda h: F.softplus(h) / math.log(2),
    "relu": lambda h: F.relu(h + 1),
}


def _conv_pair(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels_out, channels_out, 3, padding=1),
        nn.ReLU(),
    )


class Decoder(nn.Module):
    """Decode features to one real plane per channel of the group.

    With ``pad_object`` the central N/2 pixels are decoded at full resolution; the periphery is
    zero or, with ``probe_big``, decoded from a few channels at an eighth of the resolution.
    """

    def __init__(self, model: ModelConfig, widths: list[int]) -> None:
        super().__init__()
        ups = widths[::-1]
        self.central = model.pad_object
        # every encoder level halves; decoding the centre alone needs one doubling less
        doublings = len(widths) - 1 if self.central else len(widths)
        blocks: list[nn.Module] = []
        channels = ups[0]
        for level in range(doublings):
            channels_out = ups[min(level + 1, len(ups) - 1)]
            blocks += [_conv_pair(channels, channels_out), nn.Upsample(scale_factor=2)]
            channels = channels_out
        self.body = nn.Sequential(*blocks)
        self.head = nn.Conv2d(channels, model.channels, 3, padding=1)
        self.periphery: nn.Sequential | None = None
        if self.central and model.probe_big:
            self.periphery = nn.Sequential(
                nn.Conv2d(ups[0], CNN_PERIPHERY_CHANNELS, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(CNN_PERIPHERY_CHANNELS, model.channels, 3, padding=1),
            )

    @property
    def last_layers(self) -> list[nn.Conv2d]:
        """The layers that produce the planes."""
        return [self.head] if self.periphery is None else [self.head, self.periphery[-1]]

    def forward(self, features: Tensor, N: int) -> Tensor:
        """Map features (B, F, n, n) to planes (B, C, N, N)."""
        plane = self.head(self.body(features))
        if not self.central:
            return plane
        rim = N // 4
        plane = F.pad(plane, (rim, rim, rim, rim))
        if self.periphery is None:
            return plane
        around = F.interpolate(
            self.periphery(features), size=(N, N), mode="bilinear", align_corners=False
        )
        centre = torch.ones_like(plane[:1, :1, 2 * rim :, 2 * rim :])
        return plane + around * (1 - F.pad(centre, (rim, rim, rim, rim)))


class CNN(Network):
    """Encoder-decoder network: see the module's description.

    Parameters
    ----------
    model
        ``N`` sets the depth, ``n_filters_scale`` the width, ``gridsize`` the channels in and out,
        ``amp_activation`` the range of the amplitude.
    """

    recommended_scheduler = "ReduceLROnPlateau"
    starts_blind = True

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        widths = cnn_channels(model)
        inputs = [2 * model.channels, *widths[:-1]]
        self.N = model.N
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(_conv_pair(a, b), nn.MaxPool2d(2))
                for a, b in zip(inputs, widths, strict=True)
            )
        )
        self.amplitude = Decoder(model, widths)
        self.phase = Decoder(model, widths)
        self.activation = AMPLITUDE_ACTIVATIONS[model.amp_activation]
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                # Glorot's initial weights would halve the power of the signal in each layer: the
                # output of a deep network would be mostly its biases, the same for all patterns.
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        for layer in self.amplitude.last_layers + self.phase.last_layers:
            nn.init.zeros_(layer.weight)  # training starts from a flat object

    def forward(
        self,
        x: Tensor,
        positions: Tensor,  # noqa: ARG002 - part of the interface, not used here
        probe: Tensor,
        bad_pixels: Tensor,
        photons: Tensor | float = math.inf,  # noqa: ARG002
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups: see `Network.forward`.

        Raises
        ------
        InvalidValueError
            If the patterns are not of the size the network was built for.
        """
        if x.shape[-1] != self.N:
            raise InvalidValueError(
                "N of the patterns",
                f"{self.N}, for which this cnn was built",
                str(x.shape[-1]),
                "train at that size",
            )
        x = torch.where(bad_pixels, torch.zeros_like(x), x)
        departure = departure_from_beam(x, probe.detach(), bad_pixels)
        features = self.encoder(torch.cat([departure, x], dim=1))
        # in float32 before the activation: half precision would leave few grey levels
        amplitude = self.activation(self.amplitude(features, self.N).float())
        phase = math.pi * torch.tanh(self.phase(features, self.N).float())
        return torch.polar(amplitude, phase)
