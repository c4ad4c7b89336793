"""From files and overrides to one resolved configuration, without loading a framework.

Precedence: overrides, then execution settings, then values from the bundle and the scan, then
defaults. Each payload records the origin of each setting.
"""

import logging
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import attrs
from ptycho_config import (
    ConfigError,
    InferenceConfig,
    Layer,
    PyTorchExecutionConfig,
    Resolved,
    RunFiles,
    TrainingConfig,
    resolve_inference,
    resolve_training,
    to_dict,
)
from ptycho_config.params import populate_legacy_params
from ptycho_data import load_bundle, probe_size, stated_photons

__all__ = [
    "InferencePayload",
    "TrainingPayload",
    "create_inference_payload",
    "create_training_payload",
    "infer_probe_size",
    "populate_legacy_params",
]

log = logging.getLogger(__name__)

BACKEND = "pytorch"
AnyPath = str | PathLike[str]
C = TypeVar("C", TrainingConfig, InferenceConfig)


@attrs.frozen(kw_only=True)
class TrainingPayload:
    """What `ptycho_torch.training.train` needs besides the scan.

    Attributes
    ----------
    config : TrainingConfig
        What to compute.
    execution : PyTorchExecutionConfig
        How to run it.
    overrides_applied : dict
        Field name to ``{"value": ..., "origin": ...}`` for every setting that is not at its
        default; serialisable as JSON.
    files : RunFiles
        What to read, and the folder to write to.
    """

    config: TrainingConfig
    execution: PyTorchExecutionConfig
    overrides_applied: dict[str, dict[str, Any]]
    files: RunFiles


@attrs.frozen(kw_only=True)
class InferencePayload:
    """What `ptycho_torch.reconstruction.reconstruct` needs besides bundle and scan.

    Attributes
    ----------
    config : InferenceConfig
        What to compute.
    execution : PyTorchExecutionConfig
        How to run it.
    overrides_applied : dict
        As in `TrainingPayload`.
    files : RunFiles
        What to read, and the folder to write to.
    """

    config: InferenceConfig
    execution: PyTorchExecutionConfig
    overrides_applied: dict[str, dict[str, Any]]
    files: RunFiles


def create_training_payload(
    train_data_file: AnyPath,
    output_dir: AnyPath,
    execution_config: PyTorchExecutionConfig | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    origin: str = "override",
) -> TrainingPayload:
    """Resolve the configuration of a training run.

    ``N`` and ``nphotons`` are taken from the scan unless an override sets them; its patterns are
    not read.

    Parameters
    ----------
    train_data_file
        Scan to train on.
    output_dir
        Folder for the bundle.
    execution_config
        How to run it; a field that is not at its default is superseded only by an override.
    overrides
        Field name to value: settings of the training, the model (flat, or in a table ``model``)
        and the execution. None is required.
    origin
        Name of the arguments and overrides in the record of origins.

    Raises
    ------
    FileNotFoundError
        If the scan, or another file named by an override, is missing.
    ConfigError
        A ValueError, with all violations: unknown names, bad values, another backend.
    ScanFormatError
        A ValueError: the scan has no probe from whose shape N could be read.
    """
    given = _arguments(overrides, origin, train_data_file=train_data_file, output_dir=output_dir)
    layers = [legacy_defaults(), *_execution(execution_config), given]
    # First without the scan: a mistake in the settings is reported even if the scan is damaged.
    first = resolve_training(layers).files
    path = first.train_data_file
    assert path is not None  # noqa: S101 - an argument
    _need_files(train_data_file=path, test_data_file=first.test_data_file,
                probe_file=first.probe_file)  # fmt: skip
    data: dict[str, object] = {"N": probe_size(path)}
    photons = stated_photons(path)
    if photons is not None:
        data["nphotons"] = photons
    resolved = resolve_training([*layers, Layer("data", data, str(path))])
    _finish(resolved)
    return TrainingPayload(
        config=resolved.config,
        execution=resolved.execution,
        overrides_applied=resolved.overrides_applied,
        files=resolved.files,
    )


def create_inference_payload(
    model_path: AnyPath,
    test_data_file: AnyPath,
    output_dir: AnyPath,
    execution_config: PyTorchExecutionConfig | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    origin: str = "override",
) -> InferencePayload:
    """Resolve the configuration of a reconstruction.

    The model is that of the bundle, and so is ``neighbor_count`` unless an override sets it.

    Parameters
    ----------
    model_path
        Bundle, or the folder that holds it.
    test_data_file
        Scan to reconstruct.
    output_dir
        Folder for the results.
    execution_config, overrides, origin
        As for `create_training_payload`, with the settings of inference.

    Raises
    ------
    FileNotFoundError
        If the bundle, the scan, or another file named by an override is missing.
    ConfigError
        A ValueError, with all violations: unknown names, bad values, another backend or model.
    BundleError
        A ValueError: the bundle is damaged.
    """
    given = _arguments(
        overrides,
        origin,
        model_path=model_path,
        test_data_file=test_data_file,
        output_dir=output_dir,
    )
    layers = [legacy_defaults(training=False), *_execution(execution_config), given]
    first = resolve_inference(layers).files
    _need_files(test_data_file=first.test_data_file, probe_file=first.probe_file)
    path = first.model_path
    assert path is not None  # noqa: S101 - an argument
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        msg = f"{path}: no bundle there; name a bundle or the folder that a training wrote it to"
        raise FileNotFoundError(msg)
    bundle = load_bundle(path)
    usual = {name: bundle.config[name] for name in ("neighbor_count",) if name in bundle.config}
    layers += [Layer("bundle", bundle.config, str(path)), Layer("command default", usual)]
    resolved = resolve_inference(layers)
    _finish(resolved)
    return InferencePayload(
        config=resolved.config,
        execution=resolved.execution,
        overrides_applied=resolved.overrides_applied,
        files=resolved.files,
    )


def legacy_defaults(*, training: bool = True) -> Layer:
    """Return the historical defaults of these entry points.

    The command and `ptycho_core.train` use other defaults: those of `ptycho_config`.
    """
    values: dict[str, object] = {"backend": BACKEND, "accelerator": "cpu"}
    if training:
        values |= {"architecture": "cnn", "learning_rate": 1e-3, "gradient_clip_val": None}
    return Layer("command default", values)


def legacy_execution() -> PyTorchExecutionConfig:
    """Return the historical execution defaults of these entry points."""
    return PyTorchExecutionConfig(accelerator="cpu", learning_rate=1e-3, gradient_clip_val=None)


def infer_probe_size(data_file: AnyPath) -> int:
    """Read the size N of the patterns of a scan from the header of its probe.

    Parameters
    ----------
    data_file
        A scan of any size; no array is read, so this takes milliseconds.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ScanFormatError
        A ValueError: the file is no NPZ file, or has no square probe.
    """
    _need_files(data_file=Path(data_file))
    return probe_size(data_file)


def _arguments(overrides: Mapping[str, Any] | None, origin: str, **arguments: AnyPath) -> Layer:
    """Merge arguments and overrides; a setting must not be in both."""
    twice = arguments.keys() & (overrides or {}).keys()
    if twice:
        names = sorted(twice)
        raise ConfigError(
            *(f"{name} must be given once, got it as an override too" for name in names)
        )
    return Layer(origin, {**(overrides or {}), **arguments})


def _execution(config: PyTorchExecutionConfig | None) -> list[Layer]:
    """Return the execution settings that are not at their default."""
    if config is None:
        return []
    if not isinstance(config, PyTorchExecutionConfig):
        raise ConfigError(
            f"execution_config must be a PyTorchExecutionConfig, got a {type(config).__name__}"
        )
    usual = to_dict(PyTorchExecutionConfig()) | dict(legacy_defaults().values)
    chosen = {name: value for name, value in to_dict(config).items() if value != usual[name]}
    if config.learning_rate is None:
        del chosen["learning_rate"]
    return [Layer("execution", chosen)]


def _need_files(**files: Path | None) -> None:
    for name, path in files.items():
        if path is not None and not path.exists():
            raise FileNotFoundError(f"{path}: no such file; {name} must name an NPZ file")


def _finish(resolved: Resolved[C]) -> None:
    """Refuse another backend, and log the settings that are not at their default."""
    backend = resolved.config.backend
    if backend != BACKEND:
        origin = resolved.origins["backend"]
        raise ConfigError(f"backend must be {BACKEND} in ptycho_torch, got {backend!r} ({origin})")
    for line in resolved.summary():
        log.info("%s", line)
