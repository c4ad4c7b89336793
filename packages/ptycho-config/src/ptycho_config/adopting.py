"""Convert settings in classes or dictionaries of older callers to checked configurations."""

from collections.abc import Mapping
from typing import Any, TypeVar

from ptycho_config.convert import CONFIG_CLASSES, field_names
from ptycho_config.errors import InvalidValueError
from ptycho_config.inference import InferenceConfig
from ptycho_config.legacy import LEGACY_KEYS
from ptycho_config.options import option_specs
from ptycho_config.resolver import Layer, resolve_inference, resolve_training
from ptycho_config.run_files import RunFiles
from ptycho_config.training import TrainingConfig

C = TypeVar("C", TrainingConfig, InferenceConfig)

_NEVER_NONE = {s.name for kind in CONFIG_CLASSES for s in option_specs(kind) if not s.optional}


def adopt(cls: type[C], config: object, **known: object) -> C:
    """Return settings as an instance of a configuration class, checked.

    Parameters
    ----------
    cls : type
        `TrainingConfig` or `InferenceConfig`.
    config : object
        One of these, which is returned unchanged, or an object whose attributes are the settings
        given, such as `ptycho.config.config.TrainingConfig`. Its paths are omitted, and a size N of
        0 counts as not given.
    **known : object
        Defaults of settings that `config` does not have: ``N`` of the scan, ``backend``.

    Raises
    ------
    ConfigError
        With every setting that breaks a rule.
    InvalidValueError
        If `config` has no settings at all.
    """
    if isinstance(config, cls):
        return config
    if not hasattr(config, "__dict__") or isinstance(config, type):
        got = f"a {type(config).__name__}"
        raise InvalidValueError("config", f"a {cls.__name__}", got)
    values = dict(vars(config))
    model = values.pop("model", None)
    settings = {**({} if model is None else vars(model)), **values}
    files = field_names([RunFiles])
    settings = {
        name: value
        for name, value in settings.items()
        if name not in files and not (value is None and name in _NEVER_NONE)
    }
    if settings.get("N") == 0:
        del settings["N"]
    layers = [Layer("override", settings), Layer("command default", known)]
    resolve = resolve_training if cls is TrainingConfig else resolve_inference
    return resolve(layers).config  # type: ignore[return-value]  # that of cls


def from_legacy_keys(params: Mapping[str, Any]) -> dict[str, Any]:
    """Name the settings of a legacy dictionary as the fields are named.

    Parameters
    ----------
    params : mapping
        Legacy key, or field name, to value.

    Returns
    -------
    dict
        Field name to value, without files and ``intensity_scale``, which are not settings of a
        model or a training.

    """
    fields = {key: name for name, key in LEGACY_KEYS.items()}
    left_out = {*field_names([RunFiles]), "intensity_scale", "debug"}
    named = {fields.get(key, key): value for key, value in params.items()}
    return {name: value for name, value in named.items() if name not in left_out}
