"""Settings for applications: mutable, picklable, and checked only when they are used.

An application fills them from its user interface, sends them to another process and completes them
there (the size ``N`` of the patterns is not known before the data are read). The classes have the
fields of those of `ptycho_config`, which check them; only defaults that suit an application better
are defined here. Importing this imports no framework.
"""

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import ptycho_config
from ptycho_config import DEPRECATED_ALIASES, Layer, resolve_alias, resolve_training
from ptycho_config.adopting import adopt
from ptycho_config.types import Accelerator

__all__ = [
    "InferenceConfig",
    "ModelConfig",
    "PyTorchExecutionConfig",
    "TrainingConfig",
    "dataclass_to_legacy_dict",
    "update_legacy_dict",
    "validate_inference_config",
    "validate_model_config",
    "validate_training_config",
]

#: Settings that are paths: older callers set and read them, but they are not used here.
FILES = tuple(field.name for field in attrs.fields(ptycho_config.RunFiles))


class _Settings:
    """Fields of a configuration class; fields that are not set have their default."""

    _defaults: ClassVar[dict[str, Any]]

    def __init_subclass__(
        cls, *, of: type[attrs.AttrsInstance], first: Mapping[str, object] = {}, **defaults: object
    ) -> None:
        """Add the fields of `of`, in their order, with some defaults replaced.

        ``first`` come after the model, where older callers pass them by position; names that are
        not fields of `of` follow at the end.
        """
        taken = {field.name: field.default for field in attrs.fields(of)}
        model = {"model": taken.pop("model")} if "model" in taken else {}
        cls._defaults = {**model, **first, **taken} | defaults

    def __init__(self, *values: object, **named: object) -> None:
        if len(values) > len(self._defaults):
            most, got = len(self._defaults), len(values)
            raise TypeError(f"{type(self).__name__} has {most} settings, got {got} values")
        given = dict(zip(self._defaults, values, strict=False))
        for name in [name for name in named if name in DEPRECATED_ALIASES]:
            new, value = resolve_alias(name, named.pop(name))
            if new in named:
                raise TypeError(f"{new} must be given once, got it as {name} too")
            named[new] = value
        for name in named:
            if name not in self._defaults:
                raise TypeError(f"{name} is not a setting of {type(self).__name__}")
            if name in given:
                raise TypeError(f"{name} must be given once, got it twice")
        self.__dict__.update(given | named)
        if "model" in self._defaults:
            self.__dict__.setdefault("model", ModelConfig())

    def __getattr__(self, name: str) -> Any:
        """Return the default of a field that was not set."""
        if name in self._defaults:
            return self._defaults[name]
        raise AttributeError(f"{type(self).__name__} has no setting {name!r}")

    def given(self) -> dict[str, Any]:
        """Return the fields that were set, including the model unchanged."""
        return vars(self).copy()

    def __eq__(self, other: object) -> bool:
        """Compare all fields."""
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._defaults)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        """Show the fields that were set."""
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({shown})"


class ModelConfig(_Settings, of=ptycho_config.ModelConfig, architecture="unrolled"):
    """Network and forward model: the fields of `ptycho_config.ModelConfig`."""


class TrainingConfig(
    _Settings,
    of=ptycho_config.TrainingConfig,
    first={"train_data_file": Path(), "test_data_file": None},
    probe_file=None,
    output_dir=Path(),
    backend=None,
):
    """A training run: the fields of `ptycho_config.TrainingConfig`.

    The paths are never used: data and results are passed by separate calls. If ``backend`` is
    None, the environment variable ``PTYCHO_BACKEND`` is used, then the installed backend,
    TensorFlow first.
    """


class InferenceConfig(
    _Settings,
    of=ptycho_config.InferenceConfig,
    first={"model_path": Path(), "test_data_file": Path()},
    probe_file=None,
    output_dir=Path(),
    backend=None,
):
    """A reconstruction: the fields of `ptycho_config.InferenceConfig`.

    The paths are never used. If ``backend`` is None, the environment variable ``PTYCHO_BACKEND``
    is used, then the backend that trained the bundle, if it is installed.
    """


def _with_default(name: str, default: object) -> Any:
    """Return a field of the execution settings with a default of older callers."""
    fields = attrs.fields_dict(ptycho_config.PyTorchExecutionConfig)
    return attrs.field(default=default, metadata=fields[name].metadata)


@attrs.frozen(kw_only=True)
class PyTorchExecutionConfig(ptycho_config.PyTorchExecutionConfig):
    """`ptycho_config.PyTorchExecutionConfig` with the defaults that older callers rely on.

    These are a CPU, a learning rate of 0.001 and no gradient clipping.
    """

    accelerator: Accelerator = _with_default("accelerator", "cpu")
    gradient_clip_val: float | None = _with_default("gradient_clip_val", None)
    learning_rate: float | None = _with_default("learning_rate", 1e-3)

    def __init__(self, **settings: Any) -> None:
        """Take deprecated names too, with a DeprecationWarning."""
        for name in [name for name in settings if name in DEPRECATED_ALIASES]:
            new, value = resolve_alias(name, settings.pop(name))
            if new in settings:
                raise TypeError(f"{new} must be given once, got it as {name} too")
            settings[new] = value
        self.__attrs_init__(**settings)  # type: ignore[attr-defined]  # made by attrs


def update_legacy_dict(cfg: MutableMapping[str, Any], config: object) -> None:
    """Write settings into a legacy dictionary such as `ptycho.params.cfg`.

    Parameters
    ----------
    cfg : mutable mapping
        Updated in place. Keys that are not settings keep their values.
    config : ModelConfig, TrainingConfig or InferenceConfig
        From this module or `ptycho_config`. The backend is written as ``backend``, because the
        calls that need it have no settings.

    Raises
    ------
    TypeError
        If `config` has no field with a legacy key.
    """
    ptycho_config.update_legacy_dict(cfg, config)
    if hasattr(config, "backend"):
        cfg["backend"] = config.backend


def dataclass_to_legacy_dict(config: object) -> dict[str, Any]:
    """Return settings under their legacy keys; arguments and errors as `update_legacy_dict`."""
    cfg: dict[str, Any] = {}
    ptycho_config.update_legacy_dict(cfg, config)
    return cfg


def validate_model_config(config: object) -> None:
    """Check the settings of a model, of this module or of `ptycho_config`.

    Raises
    ------
    ConfigError
        A ValueError with every violation.
    """
    if isinstance(config, ModelConfig):
        resolve_training([Layer("override", config.given())])
    elif not isinstance(config, ptycho_config.ModelConfig):
        raise TypeError(f"a ModelConfig is needed, got a {type(config).__name__}")


def validate_training_config(config: object) -> None:
    """Check the settings of a training; errors as `validate_model_config`."""
    adopt(ptycho_config.TrainingConfig, config)


def validate_inference_config(config: object) -> None:
    """Check the settings of a reconstruction; errors as `validate_model_config`."""
    adopt(ptycho_config.InferenceConfig, config)
