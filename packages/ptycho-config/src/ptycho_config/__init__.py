"""Typed, validated configuration for neural ptychography.

Four frozen classes say what to compute (`ModelConfig`, `TrainingConfig`, `InferenceConfig`) and how
to run it (`PyTorchExecutionConfig`); a fifth names the files of a run (`RunFiles`). Each field
carries its help, rule and default where it is defined; command line options, JSON schema, template
file and reference page are generated from there. `resolve_training` and `resolve_inference` merge
sources and record which one decided.
"""

from ptycho_config import _start  # noqa: F401  # before anything is imported from elsewhere

# isort: split
from ptycho_config.__about__ import __version__
from ptycho_config.aliases import DEPRECATED_ALIASES, Alias, current_flags, resolve_alias
from ptycho_config.convert import CONFIG_CLASSES, from_dict, to_dict
from ptycho_config.errors import (
    ConfigError,
    InvalidValueError,
    MissingFileError,
    MissingPackageError,
    PtychoError,
)
from ptycho_config.execution import PyTorchExecutionConfig
from ptycho_config.files import load_config_file
from ptycho_config.inference import InferenceConfig
from ptycho_config.legacy import LEGACY_KEYS, update_legacy_dict
from ptycho_config.model import ModelConfig
from ptycho_config.options import OptionSpec, option_specs
from ptycho_config.resolver import (
    ORIGINS,
    Layer,
    Resolved,
    resolve_inference,
    resolve_training,
)
from ptycho_config.run_files import RunFiles
from ptycho_config.schema import json_schema, reference_page, toml_template
from ptycho_config.training import TrainingConfig
from ptycho_config.types import Scheduler

__all__ = [
    "CONFIG_CLASSES",
    "DEPRECATED_ALIASES",
    "LEGACY_KEYS",
    "ORIGINS",
    "Alias",
    "ConfigError",
    "InferenceConfig",
    "InvalidValueError",
    "Layer",
    "MissingFileError",
    "MissingPackageError",
    "ModelConfig",
    "OptionSpec",
    "PtychoError",
    "PyTorchExecutionConfig",
    "Resolved",
    "RunFiles",
    "Scheduler",
    "TrainingConfig",
    "__version__",
    "current_flags",
    "from_dict",
    "json_schema",
    "load_config_file",
    "option_specs",
    "reference_page",
    "resolve_alias",
    "resolve_inference",
    "resolve_training",
    "to_dict",
    "toml_template",
    "update_legacy_dict",
]
