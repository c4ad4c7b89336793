"""Training and inference in one call, and a trained model from its folder, by their old names.

A compatibility layer: `ptycho_core.train` and `ptycho_core.reconstruct` are the calls of today.
"""

import tempfile
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config import InferenceConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.adopting import adopt
from ptycho_config.params import cfg
from ptycho_data import Scan, load_bundle, load_scan
from torch import nn

from ptycho_torch._moved import MOVED
from ptycho_torch.config_factory import BACKEND, legacy_execution
from ptycho_torch.model_manager import load_torch_bundle, models_of, params_of
from ptycho_torch.reconstruction import reconstruct
from ptycho_torch.training import train

__all__ = ["load_inference_bundle_torch", "run_cdi_example_torch", "train_cdi_model_torch"]

Image = NDArray[np.float32]
AnyPath = str | PathLike[str]


def _scan(data: Any, name: str) -> Scan:
    """Return the scan that an application means."""
    for holder in (data, getattr(data, "X", None)):
        found = getattr(holder, "scan", holder)
        if isinstance(found, Scan):
            return found
    if isinstance(data, str | PathLike):
        return load_scan(data)
    msg = f"{name}: a Scan, an object with one as its attribute scan, or a file expected, found "
    raise TypeError(msg + type(data).__name__)


def _folder(output_dir: AnyPath | None, config: object) -> Path | None:
    """Return where to write: as the call says, else as older settings do; "." is their default."""
    if output_dir is None:
        output_dir = getattr(config, "output_dir", None)
        output_dir = None if output_dir in (None, Path()) else output_dir
    return None if output_dir is None else Path(output_dir)


def run_cdi_example_torch(
    train_data: Any,
    test_data: Any | None,
    config: Any,
    do_stitching: bool = True,
    execution_config: PyTorchExecutionConfig | None = None,
    output_dir: AnyPath | None = None,
) -> tuple[Image | None, Image | None, dict[str, Any]]:
    """Train a network, and reconstruct with it; `ptycho_config.params.cfg` gets its settings.

    Parameters
    ----------
    train_data
        Scan to train on: a `ptycho_data.Scan`, an object with one as its ``scan``, the container
        that `ptycho.loader.load` returns, or a file.
    test_data
        Scan to validate on and to reconstruct. With None a part of ``train_data`` is set apart for
        validation, and all of it is reconstructed.
    config
        What to compute: a ``TrainingConfig`` of `ptycho_config` or of `ptycho.config.config`.
    do_stitching
        Reconstruct after training.
    execution_config
        How to run it.
    output_dir
        Folder for the bundle; an existing one is replaced. Default: the ``output_dir`` of
        `config`, if it has one. Without either nothing is written.

    Returns
    -------
    amplitude, phase : (H, W) float32 arrays or None
        Amplitude and phase (in radians) of the object; None without stitching.
    results : dict
        ``history`` (losses by name, one value per epoch), ``models`` (``autoencoder`` and
        ``diffraction_to_obj``), ``bundle_path`` (None where nothing is written), ``backend`` and,
        after stitching, ``reconstruction`` (`ptycho_data.Reconstruction`), ``r_factor``,
        ``timings``.

    Raises
    ------
    ValueError
        If settings and scans do not match.
    """
    scan = _scan(train_data, "train_data")
    test_scan = None if test_data is None else _scan(test_data, "test_data")
    folder = _folder(output_dir, config)
    execution = execution_config or legacy_execution()
    config = evolve(adopt(TrainingConfig, config, N=scan.N, backend=BACKEND), backend=BACKEND)
    with (
        tempfile.TemporaryDirectory(prefix="ptycho-") if folder is None else nullcontext(folder)
    ) as place:
        trained = train(
            scan, config, execution, output=Path(place), test_scan=test_scan, overwrite=True
        )
        bundle = load_bundle(trained.bundle_path)
    cfg.update(params_of(bundle))
    results: dict[str, Any] = {
        "history": trained.history,
        "models": models_of(bundle),
        "bundle_path": None if folder is None else trained.bundle_path,
        "backend": BACKEND,
    }
    if not do_stitching:
        return None, None, results
    inference = InferenceConfig(
        model=config.model, neighbor_count=config.neighbor_count, backend=BACKEND
    )
    found = reconstruct(bundle, scan if test_scan is None else test_scan, inference, execution)
    object_ = found.reconstruction.object
    results |= {
        "reconstruction": found.reconstruction,
        "r_factor": found.r_factor,
        "timings": found.timings,
    }
    return np.abs(object_), np.angle(object_), results


def train_cdi_model_torch(
    train_data: Any,
    test_data: Any | None,
    config: Any,
    execution_config: PyTorchExecutionConfig | None = None,
) -> dict[str, Any]:
    """Train without reconstructing, and return the results of `run_cdi_example_torch`."""
    return run_cdi_example_torch(
        train_data, test_data, config, do_stitching=False, execution_config=execution_config
    )[2]


def load_inference_bundle_torch(
    bundle_dir: AnyPath,
) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """Load both models of a trained network: `ptycho_torch.model_manager.load_torch_bundle`."""
    return load_torch_bundle(bundle_dir)


__getattr__ = MOVED.in_module(__name__)
