"""Training, loading and saving for applications."""

import logging
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config import (
    ConfigError,
    InvalidValueError,
    Layer,
    Resolved,
    from_dict,
    resolve_training,
    to_dict,
    update_legacy_dict,
)
from ptycho_config import TrainingConfig as CheckedTrainingConfig
from ptycho_config.errors import MissingPackageError
from ptycho_core.backends import require
from ptycho_data import (
    Reconstruction,
    Scan,
    load_bundle,
    result_set,
    save_reconstruction,
    write_pictures,
)

# Older callers use `probe` and `tf_helper` as attributes of `ptycho` without importing them.
from ptycho import model_manager, params, probe, tf_helper  # noqa: F401
from ptycho._backend import choose
from ptycho._inference import BundleModel, reconstruct
from ptycho._moved import MOVED
from ptycho.config.config import FILES, TrainingConfig
from ptycho.grouped import Selection
from ptycho.raw_data import RawData

__all__ = ["load_inference_bundle", "run_cdi_example", "save_outputs"]

log = logging.getLogger(__name__)

#: Not useful in a process without a terminal whose only product is the bundle.
_QUIET = {"enable_progress_bar": False, "logger_backend": "none"}


def run_cdi_example(
    train_data: RawData,
    test_data: RawData | None,
    config: TrainingConfig | CheckedTrainingConfig,
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, Any]]:
    """Train a network, and reconstruct with it.

    Each epoch's losses go to `logging`. `ptycho.model_manager.save` then writes the bundle.

    Parameters
    ----------
    train_data
        Scan to train on.
    test_data
        Scan to validate on after each epoch and to reconstruct at the end. With None a part of
        ``train_data`` is set apart for validation, and all of it is reconstructed.
    config
        Settings; its paths are not used.

    Returns
    -------
    amplitude, phase : (H, W) float32 arrays
        Amplitude and phase (in radians) of the reconstructed object.
    results : dict
        ``history`` (losses by name, one value per epoch), ``reconstruction``
        (`ptycho_data.Reconstruction`) and ``backend``.

    Raises
    ------
    ConfigError
        A ValueError: every setting that breaks a rule.
    ValueError
        If settings and scans do not match.
    RuntimeError
        If the backend is not installed; the message has the pip command.
    """
    scan = train_data.scan
    test_scan = None if test_data is None else test_data.scan
    if test_scan is not None and test_scan.N != scan.N:
        raise InvalidValueError("N of test_data", f"{scan.N}, as of train_data", str(test_scan.N))
    backend = choose(config.backend)
    with tempfile.TemporaryDirectory(prefix="ptychopinn-") as folder:
        resolved = _resolve(config, scan, backend)
        model = resolved.config.model
        log.info(
            "training with %s on %d patterns: %s, %s, gridsize %d",
            backend,
            scan.n,
            model.model_type,
            model.architecture,
            model.gridsize,
        )
        result = require(backend).train(
            scan,
            resolved.config,
            resolved.execution,
            output=Path(folder),
            test_scan=test_scan,
            overrides_applied=resolved.overrides_applied,
        )
        bundle = load_bundle(result.bundle_path)
    model_manager.keep(bundle)
    update_legacy_dict(params.cfg, resolved.config)
    params.set("intensity_scale", bundle.statistic("intensity_scale"))
    log.info("trained %d epochs in %.1f s", result.epochs, result.seconds)
    selection = Selection(gridsize=model.gridsize, neighbor_count=resolved.config.neighbor_count)
    found = reconstruct(bundle, scan if test_scan is None else test_scan, selection, backend)
    results = {"history": result.history, "reconstruction": found, "backend": backend}
    return np.abs(found.object), np.angle(found.object), results


def _resolve(
    config: TrainingConfig | CheckedTrainingConfig, scan: Scan, backend: str
) -> Resolved[CheckedTrainingConfig]:
    """Check the settings, and complete them with recommended ones."""
    if isinstance(config, CheckedTrainingConfig):
        model, given = to_dict(config.model), to_dict(config)
    else:
        model, given = config.model.given(), config.given()
    N = model.pop("N", 0)
    if N not in (0, scan.N):
        raise ConfigError(f"N must be that of the patterns, {scan.N}, got {N}")
    # Data and results are passed by separate calls: paths are not used here.
    for name in ("model", "backend", *FILES):
        given.pop(name, None)
    defaults = {**_QUIET, "backend": backend}
    resolved = resolve_training(
        [
            Layer("override", {**model, **given}),
            Layer("data", {"N": scan.N}),
            Layer("command default", defaults),
        ]
    )
    return resolved.at_rate(require(backend).recommended_rate(resolved.config.model))


def load_inference_bundle(
    model_dir: str | PathLike[str],
) -> tuple[BundleModel, CheckedTrainingConfig]:
    """Load a trained model; its settings are stored in `ptycho.params.cfg`.

    Parameters
    ----------
    model_dir
        Folder that holds ``wts.h5.zip``, folder of the unpacked members of one, or the file.

    Returns
    -------
    model : BundleModel
        With ``predict``.
    config : ptycho_config.TrainingConfig
        Configuration of its training.

    Raises
    ------
    BundleError
        A ValueError: there is no bundle, or it is damaged, newer than this version, or one with
        pickled models of an older system, which is never opened.
    RuntimeError
        If no backend is installed; the message has the pip command.
    """
    bundle = load_bundle(model_dir)
    config = from_dict(CheckedTrainingConfig, bundle.config)
    backend = choose(usual=bundle.backend)
    update_legacy_dict(params.cfg, config)
    params.set("intensity_scale", bundle.statistic("intensity_scale"))
    log.info(
        "%s: %s model of gridsize %d, trained with %s, running with %s",
        model_dir,
        config.model.model_type,
        config.model.gridsize,
        bundle.backend,
        backend,
    )
    return BundleModel(bundle, backend), config


def save_outputs(
    amplitude: NDArray[np.float32],  # noqa: ARG001  the results hold the object itself
    phase: NDArray[np.float32],  # noqa: ARG001
    results: dict[str, Any],
    output_prefix: str | PathLike[str],
) -> None:
    """Write ``reconstruction.npz`` and pictures of the result of `run_cdi_example`.

    They appear together. Existing files of these names are replaced, unless they belong to the
    results of a command.

    Parameters
    ----------
    amplitude, phase
        As returned by `run_cdi_example`.

    results
        As returned by `run_cdi_example`.

    output_prefix
        Folder to write to; made if missing.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    found: Reconstruction = results["reconstruction"]
    folder = Path(output_prefix)
    # without a manifest, since the folder may hold the model as well
    with result_set(folder, overwrite=True) as place:
        save_reconstruction(place / "reconstruction.npz", found)
        try:
            write_pictures(place, found)
        except MissingPackageError as error:  # a missing picture must not end a training
            log.warning("no pictures: %s", error)


__getattr__ = MOVED.in_module(__name__)
