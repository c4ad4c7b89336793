"""The two models of a bundle, under the names that applications call.

``diffraction_to_obj`` reconstructs patches; ``autoencoder`` also predicts their diffraction, which
is what training compares with the measured one. Both are views of one `PtychoModel`.
"""

import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config import TrainingConfig, from_dict, update_legacy_dict
from ptycho_core.groups import canvas_for
from ptycho_data import Bundle, as_modes, load_bundle, save_bundle
from ptycho_physics import defocused_probe
from torch import Tensor, nn

from ptycho_torch.bundles import bundle_of, model_from
from ptycho_torch.illumination import prepare_probe
from ptycho_torch.model import PtychoModel

__all__ = [
    "MODELS",
    "Autoencoder",
    "DiffractionToObject",
    "create_torch_model_with_gridsize",
    "load_torch_bundle",
    "models_of",
    "save_torch_bundle",
]

MODELS = ("autoencoder", "diffraction_to_obj")


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


def models_of(core: PtychoModel, scale: float = 1.0) -> dict[str, nn.Module]:
    """Return both models of a `PtychoModel`, by name."""
    return {
        "autoencoder": Autoencoder(core, scale),
        "diffraction_to_obj": DiffractionToObject(core, scale),
    }


def create_torch_model_with_gridsize(
    gridsize: int, N: int, params: TrainingConfig | Mapping[str, Any] | None = None
) -> nn.Module:
    """Make an untrained ``autoencoder``.

    Parameters
    ----------
    gridsize, N
        Side of a group, and of a pattern.
    params
        Configuration, or settings of training and model by name; missing
        settings of the model are at their defaults.

    Raises
    ------
    ConfigError
        A ValueError: a setting that does not exist or breaks a rule.
    """
    if isinstance(params, TrainingConfig):
        config = params.model
    else:
        needed = {"architecture": "cnn", "neighbor_count": max(4, gridsize**2)}
        settings = {k: v for k, v in dict(params or {}).items() if k not in ("N", "gridsize")}
        settings = {**needed, **settings, "N": N, "gridsize": gridsize}
        config = from_dict(TrainingConfig, settings).model
    config = evolve(config, gridsize=gridsize, N=N)
    return Autoencoder(PtychoModel(config, defocused_probe(N)))


def _zipped(path: str | PathLike[str]) -> Path:
    """Add ``.zip`` to a name that ends in ``.h5``."""
    path = Path(path)
    return path.with_name(f"{path.name}.zip") if path.suffix == ".h5" else path


def save_torch_bundle(
    models: Mapping[str, nn.Module],
    base_path: str | PathLike[str],
    config: TrainingConfig,
    intensity_scale: float | None = None,
    *,
    overwrite: bool = True,
) -> Path:
    """Write a bundle of both models.

    Parameters
    ----------
    models
        ``autoencoder`` and ``diffraction_to_obj``; two views of the same weights.
    base_path
        A folder, or a file: ``.zip`` is added to a name that ends in ``.h5``.
    config
        What they were trained with.
    intensity_scale
        ``sqrt(mean counts per pattern) / (N/2)``. Default: one over the scale of the models.
    overwrite
        Replace an existing bundle.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If either is missing.
    """
    missing = [name for name in MODELS if name not in models]
    view = models.get("autoencoder")
    if missing or not isinstance(view, DiffractionToObject):
        msg = f"models: a bundle holds {' and '.join(MODELS)}, found {', '.join(models) or 'none'}"
        raise ValueError(msg)
    gain = math.exp(float(view.core.log_scale.detach()))
    scale = view.scale if intensity_scale is None else gain / intensity_scale
    bundle = bundle_of(
        view.core,
        config,
        photons=(config.model.N / 2 / scale) ** 2,
        domain="counts",
        history={},
        overrides_applied={},
    )
    return save_bundle(_zipped(base_path), bundle, overwrite=overwrite)


def load_torch_bundle(
    base_path: str | PathLike[str], model_name: str | None = None
) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """Load the models of a bundle of either backend.

    Parameters
    ----------
    base_path
        The file, or the folder that holds it; ``.zip`` may be missing after ``.h5``.
    model_name
        Name of one model. Default: both.

    Returns
    -------
    models : dict of str to Module
        In evaluation mode.
    params : dict
        Settings under their legacy names, with ``intensity_scale``.

    Raises
    ------
    BundleError
        A ValueError: there is no intact bundle.
    ValueError
        If there is no model of that name.
    """
    if model_name is not None and model_name not in MODELS:
        msg = f"model_name: one of {', '.join(MODELS)} expected, found {model_name!r}"
        raise ValueError(msg)
    bundle = load_bundle(_zipped(base_path))
    models = models_of(model_from(bundle), float(bundle.scaling.get("input_scale", 1.0)))
    wanted = MODELS if model_name is None else (model_name,)
    return {name: models[name].eval() for name in wanted}, params_of(bundle)


def params_of(bundle: Bundle) -> dict[str, Any]:
    """Return the settings of a bundle under their legacy names."""
    params: dict[str, Any] = {}
    update_legacy_dict(params, bundle.training_config)
    params["intensity_scale"] = bundle.scaling.get("intensity_scale")
    params["nphotons"] = bundle.scaling.get("nphotons", params.get("nphotons"))
    return params
