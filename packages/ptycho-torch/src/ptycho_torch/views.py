"""Two views of one `PtychoModel`, as applications call them.

`DiffractionToObject` reconstructs patches; `Autoencoder` also predicts their diffraction, which is
what training compares with the measured one.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from ptycho_core.groups import canvas_for
from ptycho_data import as_modes
from torch import Tensor, nn

from ptycho_torch.illumination import prepare_probe
from ptycho_torch.model import PtychoModel


class DiffractionToObject(nn.Module):
    """Object patches from diffraction.

    Parameters
    ----------
    core
        Network and forward model.
    scale
        Factor from ``sqrt(counts)`` to the network's input, unless a call gives one.
    """

    def __init__(self, core: PtychoModel, scale: float = 1.0) -> None:
        super().__init__()
        self.core = core
        self.scale = scale

    def _patches(self, x: Tensor, positions: Tensor, probe: Tensor, scale: float) -> Tensor:
        photons = (x.shape[-1] / 2 / scale) ** 2
        return self.core.network(x * scale, positions, probe, self.core.bad_pixels, photons)

    def _probe(self, probe: NDArray[np.complex64] | Tensor | None) -> Tensor:
        if probe is None:
            return self.core.probe
        if isinstance(probe, Tensor):
            probe = probe.detach().cpu().numpy()
        return prepare_probe(as_modes(probe), self.core.config).to(self.core.log_scale.device)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        probe: NDArray[np.complex64] | Tensor | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups.

        Parameters
        ----------
        x : (B, C, N, N) float32
            Diffraction amplitude, ``sqrt(counts)``.
        positions : (B, C, 1, 2) float
            Patch centres ``(x, y)`` in pixels.
        probe : (M, N, N) complex, optional
            Probe modes of any power. Default: that of the bundle.
        scale
            Factor from ``x`` to the network's input, ``(N/2) / sqrt(mean counts per pattern)``.
            Default: that of the training.

        Returns
        -------
        (B, C, N, N) complex64
        """
        return self._patches(
            x, positions, self._probe(probe), self.scale if scale is None else scale
        )


class Autoencoder(DiffractionToObject):
    """Object patches and their predicted diffraction; parameters as in the base class."""

    def forward(  # type: ignore[override]  # returns more
        self,
        x: Tensor,
        positions: Tensor,
        probe: NDArray[np.complex64] | Tensor | None = None,
        scale: float | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruct a batch and predict its diffraction; parameters as `DiffractionToObject`.

        Returns
        -------
        patches : (B, C, N, N) complex64
            Consistent where they overlap, if ``object_big`` is set.
        amplitude : (B, C, N, N) float32
            Predicted ``sqrt(counts)``, to be compared with ``x``.
        intensity : (B, C, N, N) float32
            Predicted counts.
        """
        scale = self.scale if scale is None else scale
        lit = self._probe(probe)
        N = x.shape[-1]
        points = positions.detach().cpu().double().numpy()
        canvas = canvas_for(points, N)
        origin = torch.tensor(canvas.origin, dtype=positions.dtype, device=positions.device)
        local = positions - origin
        patches = self._patches(x, positions, lit, scale)
        patches = self.core.constrain(patches, local, canvas.shape, probe=lit)
        photons = (N / 2 / scale) ** 2
        intensity = self.core.predict_counts(patches, photons, probe=lit)
        # the offset keeps the square root differentiable where no light is predicted
        return patches, (intensity + 1e-12).sqrt(), intensity
