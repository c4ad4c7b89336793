"""The two models of a bundle, ``autoencoder`` and ``diffraction_to_obj``, by their old calls.

A compatibility layer over `ptycho_torch.bundles`; both models are views of one `PtychoModel`.
"""

import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from attrs import evolve
from ptycho_config import InvalidValueError, TrainingConfig, from_dict, update_legacy_dict
from ptycho_config.adopting import adopt, from_legacy_keys
from ptycho_config.params import cfg
from ptycho_data import Bundle, load_bundle, save_bundle
from ptycho_physics import defocused_probe
from torch import nn

from ptycho_torch.bundles import bundle_of, model_from
from ptycho_torch.config_factory import legacy_defaults
from ptycho_torch.model import PtychoModel
from ptycho_torch.views import Autoencoder, DiffractionToObject

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
AnyPath = str | PathLike[str]


def models_of(core: PtychoModel | Bundle, scale: float = 1.0) -> dict[str, nn.Module]:
    """Return both models of a `PtychoModel`, or of a bundle, by name."""
    if isinstance(core, Bundle):
        core, scale = model_from(core), float(core.scaling.get("input_scale", 1.0))
    return {
        "autoencoder": Autoencoder(core, scale),
        "diffraction_to_obj": DiffractionToObject(core, scale),
    }


def create_torch_model_with_gridsize(gridsize: int, N: int, params: Any = None) -> nn.Module:
    """Make an untrained ``autoencoder``.

    Parameters
    ----------
    gridsize, N
        Side of a group, and of a pattern.
    params
        Configuration of a training (of `ptycho_config` or `ptycho.config.config`), or settings of
        training and model by name or by legacy key, those that `load_torch_bundle` returns for one.
        Those of the model that are missing are at their defaults.

    Raises
    ------
    ConfigError
        A ValueError: a setting that does not exist or breaks a rule.
    """
    size: dict[str, Any] = {"N": N, "gridsize": gridsize}
    if params is None or isinstance(params, Mapping):
        needed = {
            "architecture": legacy_defaults().values["architecture"],
            "neighbor_count": max(4, gridsize**2),
        }
        settings = {**needed, **from_legacy_keys(params or {}), **size}
        config = from_dict(TrainingConfig, settings).model
    else:
        config = evolve(adopt(TrainingConfig, params, N=N).model, **size)
    return Autoencoder(PtychoModel(config, defocused_probe(N)))


def _zipped(path: AnyPath) -> Path:
    """Add ``.zip`` to a name that ends in ``.h5``."""
    path = Path(path)
    return path.with_name(f"{path.name}.zip") if path.suffix == ".h5" else path


def save_torch_bundle(
    models: Mapping[str, nn.Module],
    base_path: AnyPath,
    config: Any,
    intensity_scale: float | None = None,
    *,
    overwrite: bool = True,
) -> Path:
    """Write a bundle of both models, and return its path.

    Parameters
    ----------
    models
        ``autoencoder`` and ``diffraction_to_obj``; two views of the same weights.
    base_path
        A folder, or a file: ``.zip`` is added to a name that ends in ``.h5``.
    config
        What they were trained with: a ``TrainingConfig`` of either home.
    intensity_scale
        ``sqrt(mean counts per pattern) / (N/2)``. Default: one over the scale of the models.
    overwrite
        Replace an existing bundle.

    Raises
    ------
    InvalidValueError
        A ValueError: one of both is missing.
    """
    view = models.get("autoencoder")
    if not isinstance(view, DiffractionToObject) or any(name not in models for name in MODELS):
        found = ", ".join(models) or "none"
        raise InvalidValueError("models", " and ".join(MODELS), found)
    model = view.core.config
    config = evolve(adopt(TrainingConfig, config, N=model.N), model=model)
    gain = math.exp(float(view.core.log_scale.detach()))
    scale = view.scale if intensity_scale is None else gain / intensity_scale
    bundle = bundle_of(
        view.core,
        config,
        photons=(model.N / 2 / scale) ** 2,
        domain="counts",
        history={},
        overrides_applied={},
    )
    return save_bundle(_zipped(base_path), bundle, overwrite=overwrite)


def load_torch_bundle(
    base_path: AnyPath, model_name: str | None = None
) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """Load the models of a bundle of either backend; `ptycho_config.params.cfg` gets its settings.

    Parameters
    ----------
    base_path
        The file, or the folder that holds it or its unpacked members; ``.zip`` may be missing
        after ``.h5``.
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
    InvalidValueError
        A ValueError: there is no model of that name.
    """
    if model_name is not None and model_name not in MODELS:
        raise InvalidValueError("model_name", f"one of {', '.join(MODELS)}", repr(model_name))
    bundle = load_bundle(_zipped(base_path))
    models = models_of(bundle)
    params = params_of(bundle)
    cfg.update(params)
    wanted = MODELS if model_name is None else (model_name,)
    return {name: models[name].eval() for name in wanted}, params


def params_of(bundle: Bundle) -> dict[str, Any]:
    """Return the settings of a bundle under their legacy names."""
    params: dict[str, Any] = {}
    update_legacy_dict(params, bundle.training_config)
    params["intensity_scale"] = bundle.scaling.get("intensity_scale")
    params["nphotons"] = bundle.scaling.get("nphotons", params.get("nphotons"))
    return params
