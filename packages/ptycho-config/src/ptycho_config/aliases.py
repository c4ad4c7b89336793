"""Deprecated names: each maps to its successor with a DeprecationWarning, in this one place."""

import sys
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType

import attrs


def _same(value: object) -> object:
    return value


def _logger_of(disabled: object) -> object:
    """Logger for ``disable_mlflow``; what is no flag is passed on for the check to report."""
    return {True: "none", False: "csv"}[disabled] if isinstance(disabled, bool) else disabled


@attrs.frozen(eq=False)
class Alias:
    """A deprecated name of a setting.

    Attributes
    ----------
    target : str
        Field that replaces it.
    convert : callable
        Turns the old value into that of the field.
    """

    target: str
    convert: Callable[[object], object] = _same


DEPRECATED_ALIASES: Mapping[str, Alias] = MappingProxyType(
    {
        "n_images": Alias("n_groups"),
        "device": Alias("accelerator"),
        "disable_mlflow": Alias("logger_backend", _logger_of),
    }
)


def resolve_alias(name: str, value: object, shown_as: str | None = None) -> tuple[str, object]:
    """Replace a deprecated name and its value by the current ones.

    Parameters
    ----------
    name : str
        A key of `DEPRECATED_ALIASES`.
    value : object
        Its value.
    shown_as : str, optional
        How the user wrote it, for the warning: ``--device``.

    Returns
    -------
    tuple of (str, object)
        Field and value.

    Warns
    -----
    DeprecationWarning
        Attributed to the first caller outside this package, so that Python's default filters
        report each calling line once.
    """
    alias = DEPRECATED_ALIASES[name]
    new = alias.convert(value)
    hint = alias.target if new is value else f"{alias.target} = {new!r}"
    warnings.warn(
        f"{shown_as or name} is deprecated, use {hint}",
        DeprecationWarning,
        stacklevel=_levels_to_caller(),
    )
    return alias.target, new


def _levels_to_caller() -> int:
    level, frame = 1, sys._getframe(1)
    package = __name__.partition(".")[0]
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    return level
