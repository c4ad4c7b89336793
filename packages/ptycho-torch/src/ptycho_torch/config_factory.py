"""Resolve files and overrides to one configuration, without importing a framework.

A compatibility layer over `ptycho_config.resolve_training` and `resolve_inference`. Precedence:
overrides, then execution settings, then what the bundle and the scan say, then the defaults of
`legacy_defaults`. Each payload records what decided, and `ptycho_config.params.cfg` holds the
configuration of the last payload (rule CONFIG-001).
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
    MissingFileError,
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
Settings = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class _Payload:
    """How to run a resolved configuration, and where it came from.

    Attributes
    ----------
    config : TrainingConfig or InferenceConfig
        What to compute.
    execution : PyTorchExecutionConfig
        How to run it; older callers read it as ``execution_config``.
    overrides_applied : dict
        Field name to ``{"value": ..., "origin": ...}`` for every setting that was given, whatever
        its default; ready for JSON.
    files : RunFiles
        What to read, and the folder to write to.
    """

    config: Any
    execution: PyTorchExecutionConfig
    overrides_applied: dict[str, dict[str, Any]]
    files: RunFiles

    @property
    def execution_config(self) -> PyTorchExecutionConfig:
        """The same as `execution`."""
        return self.execution


@attrs.frozen(kw_only=True)
class TrainingPayload(_Payload):
    """What `ptycho_torch.training.train` needs besides the scan; attributes as of `_Payload`."""

    config: TrainingConfig


@attrs.frozen(kw_only=True)
class InferencePayload(_Payload):
    """What `ptycho_torch.reconstruction.reconstruct` needs besides bundle and scan."""

    config: InferenceConfig


P = TypeVar("P", TrainingPayload, InferencePayload)


def create_training_payload(
    train_data_file: AnyPath,
    output_dir: AnyPath,
    execution_config: PyTorchExecutionConfig | None = None,
    overrides: Settings | None = None,
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
        How to run it; its fields are superseded only by overrides.
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
    layers = [
        legacy_defaults(),
        *_execution(execution_config),
        _given(overrides, origin, train_data_file=train_data_file, output_dir=output_dir),
    ]
    # First without the scan: a mistake in the settings is reported even if the scan is damaged.
    files = resolve_training(layers).files
    path = Path(train_data_file)
    _need_files(
        train_data_file=path, test_data_file=files.test_data_file, probe_file=files.probe_file
    )
    data: dict[str, object] = {"N": probe_size(path)}
    photons = stated_photons(path)
    if photons is not None:
        data["nphotons"] = photons
    return _payload(TrainingPayload, resolve_training([*layers, Layer("data", data, str(path))]))


def create_inference_payload(
    model_path: AnyPath,
    test_data_file: AnyPath,
    output_dir: AnyPath,
    execution_config: PyTorchExecutionConfig | None = None,
    overrides: Settings | None = None,
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
    path = Path(model_path)
    paths = {"model_path": path, "test_data_file": test_data_file, "output_dir": output_dir}
    given = _given(overrides, origin, **paths)
    layers = [legacy_defaults(training=False), *_execution(execution_config), given]
    files = resolve_inference(layers).files
    _need_files(test_data_file=files.test_data_file, probe_file=files.probe_file)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        raise MissingFileError(f"{path}: no bundle; name a bundle or the folder of a training")
    config = load_bundle(path).config
    usual = {name: config[name] for name in ("neighbor_count",) if name in config}
    layers += [Layer("bundle", config, str(path)), Layer("command default", usual)]
    return _payload(InferencePayload, resolve_inference(layers))


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
    """Read the size N of the patterns of a scan from the header of its probe; no array is read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ScanFormatError
        A ValueError: the file is no NPZ file, or has no square probe.
    """
    _need_files(data_file=Path(data_file))
    return probe_size(data_file)


def _given(overrides: Settings | None, origin: str, **arguments: AnyPath) -> Layer:
    """Merge arguments and overrides; a setting must not be in both."""
    twice = sorted(arguments.keys() & (overrides or {}).keys())
    if twice:
        raise ConfigError(*(f"{name} must be given once, got an override too" for name in twice))
    return Layer(origin, {**(overrides or {}), **arguments})


def _execution(config: PyTorchExecutionConfig | None) -> list[Layer]:
    """Return a layer of execution settings; without a learning rate the default is used."""
    if config is None:
        return []
    if not isinstance(config, PyTorchExecutionConfig):
        got = type(config).__name__
        raise ConfigError(f"execution_config must be a PyTorchExecutionConfig, got a {got}")
    values = to_dict(config)
    if config.learning_rate is None:
        del values["learning_rate"]
    return [Layer("execution", values)]


def _need_files(**files: Path | None) -> None:
    for name, path in files.items():
        if path is not None and not path.exists():
            raise MissingFileError(f"{path}: no such file; {name} must name an NPZ file")


def _payload(cls: type[P], resolved: Resolved[Any]) -> P:
    """Refuse another backend, log and publish the settings, and pack them."""
    backend = resolved.config.backend
    if backend != BACKEND:
        origin = resolved.origins["backend"]
        raise ConfigError(f"backend must be {BACKEND} in ptycho_torch, got {backend!r} ({origin})")
    for line in resolved.summary():
        log.info("%s", line)
    populate_legacy_params(resolved.config, force=True)
    populate_legacy_params(resolved.files, force=True)
    return cls(
        config=resolved.config,
        execution=resolved.execution,
        overrides_applied=resolved.overrides_applied,
        files=resolved.files,
    )
