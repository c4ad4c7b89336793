"""The physics-constrained model: a network, and the diffraction its patches would give."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from ptycho_config import ModelConfig
from ptycho_physics import expected_counts, normalise_probe, probe_weight
from torch import Tensor, nn

from ptycho_torch.networks import build_network
from ptycho_torch.overlap import agree


def prepare_probe(probe: NDArray[np.complex64], model: ModelConfig) -> Tensor:
    """Return a probe (M, N, N) as the model uses it: masked if asked for, at unit power.

    ``probe_mask`` sets the probe to zero outside the largest centred circle.

    Raises
    ------
    ValueError
        If the probe does not have the size N of the model, or is zero.
    """
    if probe.shape[-2:] != (model.N, model.N):
        size = probe.shape[-1]
        msg = f"N: the model is for N={model.N}, found a probe of {size} x {probe.shape[-2]} pixels"
        raise ValueError(msg)
    if model.probe_mask:
        offset = np.arange(model.N) - model.N // 2
        probe = probe * (offset**2 + offset[:, None] ** 2 <= (model.N // 2) ** 2)
    return torch.from_numpy(np.asarray(normalise_probe(probe), dtype=np.complex64))


def smoothing_envelope(N: int, sigma: float) -> Tensor:
    """Factor (N, N) on the intensity when the exit wave is smoothed by a Gaussian.

    Smoothing by ``sigma`` pixels multiplies the far field by ``exp(-2 (pi sigma q)^2)``, with q in
    cycles per pixel, and the intensity by its square.
    """
    q = torch.fft.fftshift(torch.fft.fftfreq(N))
    return torch.exp(-4 * (math.pi * sigma) ** 2 * (q**2 + q[:, None] ** 2))


class PtychoModel(nn.Module):
    """Network and forward model together.

    Parameters
    ----------
    model
        The network's configuration.
    probe : (M, N, N) complex64
        Probe modes as measured or guessed.
    bad_pixels : (N, N) bool, optional
        True where the detector is not to be believed.
    probe_trainable
        Let training refine the probe.
    intensity_scale_trainable
        Let training refine the intensity scale.

    Attributes
    ----------
    log_scale : ()
        Logarithm of a factor on the predicted amplitude, zero before training.
    """

    probe_start: Tensor
    bad_pixels: Tensor
    envelope: Tensor

    def __init__(
        self,
        model: ModelConfig,
        probe: NDArray[np.complex64],
        bad_pixels: NDArray[np.bool_] | None = None,
        *,
        probe_trainable: bool = False,
        intensity_scale_trainable: bool = True,
    ) -> None:
        super().__init__()
        self.config = model
        self.network = build_network(model)
        start = prepare_probe(probe, model)
        bad = np.zeros((model.N, model.N), dtype=bool) if bad_pixels is None else bad_pixels
        self.register_buffer("probe_start", start, persistent=False)
        self.register_buffer("bad_pixels", torch.from_numpy(np.ascontiguousarray(bad)), False)
        envelope = smoothing_envelope(model.N, model.gaussian_smoothing_sigma)
        self.register_buffer("envelope", envelope, persistent=False)
        # In units of the probe's rms, so that one learning rate suits probe and network.
        self.probe_change = nn.Parameter(torch.zeros(*start.shape, 2)) if probe_trainable else None
        self.log_scale = nn.Parameter(torch.zeros(()), requires_grad=intensity_scale_trainable)

    @property
    def probe(self) -> Tensor:
        """The probe (M, N, N) complex64 in use, at unit power."""
        if self.probe_change is None:
            return self.probe_start
        rms = self.probe_start.abs().square().mean().sqrt()
        return normalise_probe(self.probe_start + rms * torch.view_as_complex(self.probe_change))

    def diffraction_to_obj(self, x: Tensor, positions: Tensor) -> Tensor:
        """Reconstruct patches: see `ptycho_torch.networks.base.Network.forward`."""
        return self.network(x, positions, self.probe, self.bad_pixels)

    def constrain(self, patches: Tensor, positions: Tensor, canvas: tuple[int, int]) -> Tensor:
        """Make all patches of a batch agree where they overlap, when ``object_big`` is set.

        Parameters
        ----------
        patches : (B, C, N, N) complex64
            As the network gives them.
        positions : (B, C, 1, 2) float
            Patch centres on the batch's canvas.
        canvas
            Its shape ``(H, W)``.
        """
        if not self.config.object_big:
            return patches
        return agree(patches, positions.squeeze(-2), probe_weight(self.probe), canvas)

    def predict_counts(self, patches: Tensor, photons: Tensor | float) -> Tensor:
        """Return the expected counts (B, C, N, N) behind patches (B, C, N, N).

        ``photons`` is the mean number of counts per pattern of the scan.
        """
        scale = torch.exp(2 * self.log_scale) * photons
        return expected_counts(patches, self.probe, scale) * self.envelope

    def forward(
        self, x: Tensor, positions: Tensor, canvas: tuple[int, int], photons: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct a batch and predict its diffraction.

        Returns
        -------
        patches : (B, C, N, N) complex64
            Object patches, in agreement.
        rate : (B, C, N, N) float32
            Expected counts.
        """
        patches = self.constrain(self.diffraction_to_obj(x, positions), positions, canvas)
        return patches, self.predict_counts(patches, photons)


def input_scale(N: int, photons: float) -> float:
    """Return the factor from ``sqrt(counts)`` to network input: activations of order one."""
    return (N / 2) / math.sqrt(photons)
