"""Parameters of one scan: probe, bad pixels, position corrections."""

import numpy as np
import torch
from numpy.typing import NDArray
from ptycho_config import ModelConfig
from ptycho_core.groups import LARGEST_OFFSET
from ptycho_core.training_data import ScanOptics
from ptycho_physics import inscribed_circle, normalise_probe
from ptycho_physics import prepare_probe as prepare
from torch import Tensor, nn


def prepare_probe(probe: NDArray[np.complex64], model: ModelConfig) -> Tensor:
    """`ptycho_physics.prepare_probe` for a model, as a tensor."""
    return torch.from_numpy(prepare(probe, model.N, masked=model.probe_mask))


class Illumination(nn.Module):
    """Probe, bad pixels and position corrections of one scan.

    Parameters
    ----------
    model
        The network's configuration.
    optics
        Probe, bad pixels and what of the scan is trained.

    Attributes
    ----------
    probe_change : (M, N, N, 2) or None
        Change of the probe in units of its rms, so that the network's learning rate suits it.
    shifts : (n, 2) or None
        Trainable parameters from which `offsets` are computed.
    """

    probe_start: Tensor
    bad_pixels: Tensor
    inside: Tensor | None

    def __init__(self, model: ModelConfig, optics: ScanOptics) -> None:
        super().__init__()
        start = prepare_probe(optics.probe, model)
        shape = (model.N, model.N)
        bad = np.zeros(shape, dtype=bool) if optics.bad_pixels is None else optics.bad_pixels
        self.register_buffer("probe_start", start, persistent=False)
        self.register_buffer("bad_pixels", torch.from_numpy(np.ascontiguousarray(bad)), False)
        inside = torch.from_numpy(inscribed_circle(model.N)) if model.probe_mask else None
        self.register_buffer("inside", inside, persistent=False)
        trainable, movable = optics.probe_trainable, optics.movable
        self.probe_change = nn.Parameter(torch.zeros(*start.shape, 2)) if trainable else None
        self.shifts = nn.Parameter(torch.zeros(movable, 2)) if movable else None

    @property
    def probe(self) -> Tensor:
        """The probe (M, N, N) complex64 in use, at unit power."""
        if self.probe_change is None:
            return self.probe_start
        change = torch.view_as_complex(self.probe_change)
        if self.inside is not None:
            change = change * self.inside
        rms = self.probe_start.abs().square().mean().sqrt()
        return normalise_probe(self.probe_start + rms * change)

    @property
    def offsets(self) -> Tensor | None:
        """Refinement (n, 2) of the positions ``(x, y)`` in pixels, below `LARGEST_OFFSET`."""
        if self.shifts is None:
            return None
        return LARGEST_OFFSET * torch.tanh(self.shifts / LARGEST_OFFSET)

    def move(self, positions: Tensor, indices: Tensor) -> Tensor:
        """Return positions (B, C, 1, 2) of patterns ``indices`` (B, C) with their offsets."""
        offsets = self.offsets
        return positions if offsets is None else positions + offsets[indices].unsqueeze(-2)
