"""Configurations to plain dictionaries and back."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

import attrs

from ptycho_config.aliases import DEPRECATED_ALIASES, FORMER_NAMES, resolve_alias
from ptycho_config.checks import Rejected
from ptycho_config.errors import ConfigError, describe
from ptycho_config.execution import PyTorchExecutionConfig
from ptycho_config.inference import InferenceConfig
from ptycho_config.model import ModelConfig
from ptycho_config.options import option_specs, plain_value
from ptycho_config.run_files import RunFiles
from ptycho_config.training import TrainingConfig

T = TypeVar("T")

CONFIG_CLASSES: tuple[type, ...] = (
    ModelConfig,
    TrainingConfig,
    InferenceConfig,
    PyTorchExecutionConfig,
    RunFiles,
)
TABLES: Mapping[str, type] = MappingProxyType(
    {"model": ModelConfig, "execution": PyTorchExecutionConfig}
)
_HELD_PATHS = (TrainingConfig, InferenceConfig)  # before 0.1 was released
SCHEMA_KEY = "$schema"  # lets an editor find the JSON schema of a file; not a setting


def to_dict(config: attrs.AttrsInstance) -> dict[str, Any]:
    """Write a configuration as plain values, ready for JSON.

    Parameters
    ----------
    config : ModelConfig, TrainingConfig, InferenceConfig or PyTorchExecutionConfig
        The configuration.

    Returns
    -------
    dict
        Field name to value; paths and enumerations are strings, ``model`` is a dictionary.

    Examples
    --------
    >>> to_dict(TrainingConfig(nepochs=5))["nepochs"]
    5
    """
    values = {field.name: getattr(config, field.name) for field in attrs.fields(type(config))}
    return {
        name: to_dict(value) if isinstance(value, ModelConfig) else plain_value(value)
        for name, value in values.items()
    }


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a configuration from plain values.

    Parameters
    ----------
    cls : type
        The class to build.
    values : mapping
        Field name to value. Fields of the model may stand in a table ``model`` or beside the
        others; deprecated names are accepted with a warning. Paths, which older bundles keep in
        their configuration, are left out.

    Returns
    -------
    object
        An instance of `cls`.

    Raises
    ------
    ConfigError
        With all violations: unknown keys (with a suggestion), fields given twice, bad values.

    Examples
    --------
    >>> from_dict(TrainingConfig, {"nepochs": 5, "model": {"gridsize": 2}}).model.gridsize
    2
    """
    flat = flatten(values, classes_of(cls))
    retired = field_names([RunFiles]) if cls in _HELD_PATHS else ()
    foreign = [name for name in flat.foreign if name not in retired]
    problems = list(flat.problems) + [unknown_key(name, flat.known) for name in foreign]
    config, more = assemble(cls, flat.values)
    if config is None or problems:
        raise ConfigError(*problems, *more)
    return config


def classes_of(cls: type) -> tuple[type, ...]:
    """Return a configuration class and the classes nested in it."""
    nested = (field.type for field in attrs.fields(cls))
    return (cls, *(kind for kind in nested if kind in CONFIG_CLASSES))


def field_names(classes: Iterable[type]) -> tuple[str, ...]:
    """Return the names of all fields of `classes`, without nested configurations."""
    return tuple(spec.name for cls in classes for spec in option_specs(cls))


@attrs.frozen(kw_only=True, eq=False)
class Flat:
    """Settings after flattening, with the problems found.

    Attributes
    ----------
    values : dict
        Field name to value, with tables flattened and aliases replaced.
    problems : list of str
        Unknown keys, fields given twice, values that should be tables.
    foreign : list of str
        Fields of other configuration classes.
    known : tuple of str
        Names of the accepted fields.
    """

    values: dict[str, Any] = attrs.field(factory=dict)
    problems: list[str] = attrs.field(factory=list)
    foreign: list[str] = attrs.field(factory=list)
    known: tuple[str, ...] = ()


def flatten(values: Mapping[str, Any], classes: tuple[type, ...]) -> Flat:
    """Convert settings, flat or in tables, to one flat mapping of field names.

    Parameters
    ----------
    values : mapping
        Settings; ``model`` and ``execution`` may be tables or configuration objects.
    classes : tuple of type
        Configuration classes whose fields are accepted.
    """
    flat = Flat(known=field_names(classes))
    if not isinstance(values, Mapping):
        flat.problems.append(
            f"settings must be a table of names and values, got {describe(values)}"
        )
        return flat
    for key, value in values.items():
        if key == SCHEMA_KEY:
            continue
        if not isinstance(key, str) or key not in TABLES:
            _take(flat, key, value, flat.known)
        elif TABLES[key] not in classes:
            flat.foreign.append(key)
        elif isinstance(value, (Mapping, TABLES[key])):
            table = (
                value if isinstance(value, Mapping) else to_dict(cast("attrs.AttrsInstance", value))
            )
            for inner, item in table.items():
                _take(flat, inner, item, field_names([TABLES[key]]), table=key)
        else:
            flat.problems.append(f"{key} must be a table of settings, got {describe(value)}")
    return flat


def _take(flat: Flat, key: object, value: object, known: tuple[str, ...], table: str = "") -> None:
    """Add one setting to `flat`."""
    name = key
    if isinstance(key, str) and key in DEPRECATED_ALIASES:
        name, value = resolve_alias(key, value)
    if isinstance(name, str) and name in known:
        if name in flat.values:
            flat.problems.append(f"{name} must be given once, got it twice in one place")
        flat.values[name] = value
    elif not table and isinstance(name, str) and name in field_names(CONFIG_CLASSES):
        flat.foreign.append(name)
    else:
        flat.problems.append(unknown_key(key, known, table))


def unknown_key(key: object, known: Iterable[str], table: str = "") -> str:
    """Describe the problem of an unknown key, with a suggestion.

    Parameters
    ----------
    key : object
        The key received.
    known : iterable of str
        Fields that are accepted there.
    table : str
        Table that contains the key; empty outside tables.
    """
    text = key.strip() if isinstance(key, str) else describe(key)
    hint = _hint(text, tuple(known))
    place = f" of {table}" if table else ""
    return f"{text if text.isidentifier() else describe(key)} is not a setting{place}{hint}"


def _hint(text: str, known: tuple[str, ...]) -> str:
    """Suggest a correction of an unknown key: misplaced, legacy, misspelt or deprecated."""
    from difflib import get_close_matches  # needed for errors only

    name = text.lstrip("-").replace("-", "_").lower()
    specs = [spec for cls in CONFIG_CLASSES for spec in option_specs(cls)]
    owners = {spec.name: spec.group.lower() for spec in specs if spec.name not in known}
    if name in owners:
        return f" here, {name} belongs to {owners[name]}"
    candidates = {old: alias.target for old, alias in DEPRECATED_ALIASES.items()}
    candidates |= FORMER_NAMES
    candidates |= {spec.legacy: spec.name for spec in specs if spec.legacy}
    candidates = {old: new for old, new in candidates.items() if new in known}
    candidates |= {field.lower(): field for field in known}
    near = [text] if text in candidates else get_close_matches(name, candidates, n=1)
    return f", did you mean {candidates[near[0]]}?" if near else ""


def assemble(cls: type[T], flat: Mapping[str, Any]) -> tuple[T | None, list[str]]:
    """Build `cls` and its model from flat values and collect the problems of both.

    Parameters
    ----------
    cls : type
        The class to build.
    flat : mapping
        Field name to value; names of other classes are skipped.

    Returns
    -------
    tuple
        The configuration, None when there are problems, and the problems.
    """
    arguments: dict[str, Any] = {}
    problems: list[str] = []
    for field in attrs.fields(cls):  # type: ignore[arg-type]  # every configuration is attrs
        if field.type in CONFIG_CLASSES:
            nested, more = assemble(field.type, flat)
            arguments[field.name] = Rejected() if nested is None else nested
            problems += more
        elif field.name in flat:
            arguments[field.name] = flat[field.name]
    try:
        return cls(**arguments), problems
    except ConfigError as error:
        return None, problems + list(error.problems)
