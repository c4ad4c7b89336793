"""Historical module: the configuration classes are those of `ptycho_config`."""

from typing import Any

from ptycho_config import InferenceConfig, ModelConfig, TrainingConfig, update_legacy_dict

__all__ = ["InferenceConfig", "ModelConfig", "TrainingConfig", "update_legacy_dict"]


def __getattr__(name: str) -> Any:
    """Name the successor of a class that is gone."""
    if name in ("DataConfig", "DatagenConfig"):
        raise ImportError(
            f"{name} is gone: its settings are in ptycho_config.ModelConfig (N, gridsize) and "
            "ptycho_config.TrainingConfig (nphotons, neighbor_count, n_groups)"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
