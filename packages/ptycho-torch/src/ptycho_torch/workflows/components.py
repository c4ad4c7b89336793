"""Training and inference in one call, and loading of a trained model."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config import InferenceConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.params import cfg
from ptycho_data import Scan, load_bundle, load_scan
from torch import nn

from ptycho_torch.bundles import BACKEND
from ptycho_torch.config_factory import legacy_execution
from ptycho_torch.model_manager import load_torch_bundle
from ptycho_torch.reconstruction import reconstruct
from ptycho_torch.training import train

__all__ = ["load_inference_bundle_torch", "run_cdi_example_torch"]

Image = NDArray[np.float32]


def _scan(data: Any, name: str) -> Scan:
    """Return the scan of an argument: a `Scan`, an object with one, or a file."""
    found = getattr(data, "scan", data)
    if isinstance(found, Scan):
        return found
    if isinstance(data, str | PathLike):
        return load_scan(data)
    msg = f"{name}: a Scan, an object with one as its attribute scan, or a file expected, found "
    raise TypeError(msg + type(data).__name__)


def run_cdi_example_torch(
    train_data: Any,
    test_data: Any | None,
    config: TrainingConfig,
    do_stitching: bool = True,
    execution_config: PyTorchExecutionConfig | None = None,
    output_dir: str | PathLike[str] = "training_outputs",
) -> tuple[Image | None, Image | None, dict[str, Any]]:
    """Train a network, and reconstruct with it.

    Parameters
    ----------
    train_data
        Scan to train on: a `ptycho_data.Scan`, an object with one as its ``scan``, or a file.
    test_data
        Scan to validate on and to reconstruct. With None a part of ``train_data`` is set apart for
        validation, and all of it is reconstructed.
    config
        What to compute.
    do_stitching
        Reconstruct after training.
    execution_config
        How to run it.
    output_dir
        Folder for the bundle; an existing one is replaced.

    Returns
    -------
    amplitude, phase : (H, W) float32 arrays or None
        Amplitude and phase (in radians) of the object; None without stitching.
    results : dict
        ``history`` (losses by name, one value per epoch), ``bundle_path``, ``backend`` and, after
        stitching, ``reconstruction`` (`ptycho_data.Reconstruction`), ``r_factor``, ``timings``.

    Raises
    ------
    ValueError
        If settings and scans do not match.
    """
    scan = _scan(train_data, "train_data")
    test_scan = None if test_data is None else _scan(test_data, "test_data")
    execution = execution_config or legacy_execution()
    config = evolve(config, backend=BACKEND)
    trained = train(
        scan, config, execution, output=Path(output_dir), test_scan=test_scan, overwrite=True
    )
    results: dict[str, Any] = {
        "history": trained.history,
        "bundle_path": trained.bundle_path,
        "backend": BACKEND,
    }
    if not do_stitching:
        return None, None, results
    inference = InferenceConfig(
        model=config.model,
        neighbor_count=config.neighbor_count,
        backend=BACKEND,
    )
    wanted = scan if test_scan is None else test_scan
    found = reconstruct(load_bundle(trained.bundle_path), wanted, inference, execution)
    object_ = found.reconstruction.object
    results |= {
        "reconstruction": found.reconstruction,
        "r_factor": found.r_factor,
        "timings": found.timings,
    }
    return np.abs(object_), np.angle(object_), results


def load_inference_bundle_torch(
    bundle_dir: str | PathLike[str],
) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """Load a trained model; its settings are stored in `ptycho_config.params.cfg`.

    Parameters
    ----------
    bundle_dir
        The folder that holds ``wts.h5.zip``, one of its unpacked members, or the file.

    Returns
    -------
    models : dict of str to Module
        ``autoencoder`` and ``diffraction_to_obj``: see `ptycho_torch.model_manager`.
    params : dict
        Settings under their legacy names, with ``intensity_scale``.

    Raises
    ------
    BundleError
        A ValueError: there is no intact bundle.
    """
    models, params = load_torch_bundle(bundle_dir)
    cfg.update(params)
    return models, params
