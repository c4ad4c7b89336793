"""Conversion and checking of field values; the only error raised is `ConfigError`."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import attrs

from ptycho_config.errors import ConfigError, describe
from ptycho_config.options import OptionSpec, option_specs
from ptycho_config.paths import expanded
from ptycho_config.types import Scheduler

NAME_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
CLASS_PATTERN = re.compile(
    rf"{NAME_PATTERN.pattern}|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*"
)

# The fields a rule looks at, and a function that returns the problem it finds: the rule runs only
# when each of these fields is valid by itself.
Rule = tuple[tuple[str, ...], Callable[[Any], str | None]]


class Rejected:
    """Stand-in for a value whose problem has been reported already: fails without a message."""


def as_optional_path(value: str | os.PathLike[str] | None) -> Path | None:
    """Convert to a path, ``~`` expanded; other values are left for the check to report."""
    return None if value is None else cast("Path", _path_or_same(value))


def _path_or_same(value: object) -> object:
    try:
        text = os.fspath(cast("str", value))
        return expanded(text) if isinstance(text, str) and text else value
    except Exception:  # a foreign __fspath__ may raise anything; ~ without a home raises too
        return Path(value) if isinstance(value, str) else value


def none_or_same(value: Any) -> Any:
    """Convert the text ``none`` to None, for files: TOML has no null value."""
    return None if isinstance(value, str) and value.lower() == "none" else value


def as_scheduler(value: str) -> Scheduler:
    """Convert the name of a schedule; other values are left for the check to report."""
    try:
        return Scheduler(value)
    except Exception:  # an unhashable or foreign value may raise anything
        return cast("Scheduler", value)


def validate(config: attrs.AttrsInstance, rules: tuple[Rule, ...] = ()) -> None:
    """Check every field of a configuration and the rules between fields.

    Whole numbers given for float fields and NumPy scalars are replaced by Python's own numbers, so
    that equal configurations are written identically.

    Parameters
    ----------
    config : attrs instance
        A configuration under construction.
    rules : tuple of Rule
        Rules between fields, run for those fields that are valid by themselves.

    Raises
    ------
    ConfigError
        With all violations.
    """
    bad: set[str] = {
        field.name
        for field in attrs.fields(type(config))
        if isinstance(getattr(config, field.name), Rejected)
    }
    problems: list[str] = []
    for spec in option_specs(type(config)):
        if spec.name in bad:
            continue
        received = getattr(config, spec.name)
        value = _python_scalar(spec, received)
        if _accepts(spec, value):
            object.__setattr__(config, spec.name, value)
        else:
            bad.add(spec.name)
            problems.append(f"{spec.name} must be {spec.rule_for(value)}, got {describe(received)}")
    problems += _nested_problems(config, bad)
    problems += [text for names, rule in rules if bad.isdisjoint(names) and (text := rule(config))]
    if problems or bad:
        raise ConfigError(*problems)


def _nested_problems(config: attrs.AttrsInstance, bad: set[str]) -> Iterator[str]:
    """Check that a field without a spec of its own holds the configuration it is annotated with."""
    described = {spec.name for spec in option_specs(type(config))} | bad
    for field in attrs.fields(type(config)):
        value = getattr(config, field.name)
        if field.name in described or isinstance(value, cast("type", field.type)):
            continue
        bad.add(field.name)
        expected = cast("type", field.type).__name__
        yield f"{field.name} must be a {expected}, got {describe(value)}"


def _python_scalar(spec: OptionSpec, value: object) -> object:
    """Replace a NumPy scalar, and a whole number given for a float, by Python's own."""
    try:
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            value = value.item()
        if spec.type is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
    except Exception:  # foreign attributes may raise anything; an int of 400 digits is no float
        return value
    return value


def _accepts(spec: OptionSpec, value: object) -> bool:
    if value is None:
        return spec.optional
    if spec.choices:  # types first: 1 == True, and foreign values may compare as they like
        kinds = {type(choice) for choice in spec.choices}
        return (type(value) in kinds or isinstance(value, Scheduler)) and value in spec.choices
    if spec.type is bool:
        return type(value) is bool
    if spec.type is Path:
        return isinstance(value, Path) and "\0" not in str(value)
    if spec.type is str:
        pattern = CLASS_PATTERN if spec.class_allowed else NAME_PATTERN
        return isinstance(value, str) and pattern.fullmatch(value) is not None
    return type(value) is spec.type and spec.allows(cast("float", value))
