"""Write configurations to the flat, mutable dictionary that older callers read."""

from collections.abc import Mapping, MutableMapping
from types import MappingProxyType
from typing import Any

from ptycho_config.inference import InferenceConfig
from ptycho_config.model import ModelConfig
from ptycho_config.options import option_specs, plain_value
from ptycho_config.run_files import RunFiles
from ptycho_config.training import TrainingConfig

#: Field name to legacy key. Execution settings have none.
LEGACY_KEYS: Mapping[str, str] = MappingProxyType(
    {
        spec.name: spec.legacy
        for cls in (ModelConfig, TrainingConfig, InferenceConfig, RunFiles)
        for spec in option_specs(cls)
        if spec.legacy is not None
    }
)


def update_legacy_dict(cfg: MutableMapping[str, Any], config: object) -> None:
    """Write a configuration into a legacy dictionary; nothing else writes to it.

    Parameters
    ----------
    cfg : mutable mapping
        The dictionary to update in place. Keys that are not in the configuration keep their values;
        fields that are None are written as None, so that no stale value remains.
    config : ModelConfig, TrainingConfig, InferenceConfig, RunFiles
        Or another object with attributes of those names, such as a client's mutable copy. The
        fields of ``config.model`` are written beside the others, paths as strings.

    Raises
    ------
    TypeError
        If `config` has no field with a legacy key, like execution settings.
    """
    holders = (getattr(config, "model", None), config)
    values = {
        key: plain_value(getattr(holder, name))
        for holder in holders
        for name, key in LEGACY_KEYS.items()
        if hasattr(holder, name)
    }
    if not values:
        raise TypeError(f"{type(config).__name__} has no fields with legacy keys")
    cfg.update(values)
