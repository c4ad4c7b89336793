"""Description of each field, read from the classes, for checks, options, schema and docs."""

import math
import re
from collections.abc import Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from ptycho_config.errors import describe

METADATA_KEY = "ptycho_config"
SAME_NAME = "="
ConfigClass = TypeVar("ConfigClass", bound=type)

LARGEST_INTEGER = 2**31 - 1
SMALLEST_NUMBER, LARGEST_NUMBER = 1e-30, 1e30
"""Bounds of every setting that declares no closer ones: what 32-bit integers and single precision
hold, with room for computing. The lower one is that of numbers that have to be > 0."""
SEED_LIMIT = 2**32 - 1
"""Largest seed that the generators of NumPy, PyTorch and TensorFlow accept."""

_DECIMAL: Mapping[type, re.Pattern[str]] = MappingProxyType(
    {
        int: re.compile(r"[-+]?[0-9]{1,400}"),
        float: re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,9})?"),
    }
)


def parse_number(kind: type, text: str) -> float:
    """Read a number of the command line: decimal digits of ASCII, without separators.

    Parameters
    ----------
    kind : type
        ``int`` or ``float``.
    text : str
        What was typed.

    Raises
    ------
    ValueError
        If it is something else. Python itself reads ``1_0`` and digits of all scripts.
    """
    if not _DECIMAL[kind].fullmatch(text):
        raise ValueError(f"{_NOUNS[kind]} expected, found {describe(text)}.")
    number: float = kind(text)
    return number


@attrs.frozen(kw_only=True, eq=False)  # one object per field; less generated code imports faster
class OptionSpec:
    """One field of a configuration class, with everything needed to generate an option.

    Attributes
    ----------
    name : str
        Name of the field, the key in configuration files.
    group : str
        Heading of its section: Model, Training, Inference or Execution.
    type : type
        ``int``, ``float``, ``bool``, ``str`` or ``pathlib.Path``.
    choices : tuple
        The allowed values; empty if they are not a closed set.
    minimum, maximum : float or None
        Inclusive bounds.
    above : float or None
        Exclusive lower bound.
    optional : bool
        Whether None is allowed.
    default : object
        Default of the class.
    none_means : str
        Meaning of None in words: "all patterns".
    example : object
        A valid value to show if the default is None.
    class_allowed : bool
        Whether ``module:Class`` is a value besides names.
    legacy : str or None
        Key in the legacy dictionary; None if the field is not part of it.
    help : str
        Meaning, unit and effect.
    """

    name: str
    group: str
    type: type
    choices: tuple[object, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    optional: bool = False
    default: object = None
    none_means: str = ""
    example: object = None
    class_allowed: bool = False
    legacy: str | None = None
    help: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """Command line flags: one that takes a value, or one per value of a switch."""
        stem = self.name.replace("_", "-")
        if self.type is not bool:
            return (f"--{stem}",)
        words = [str(choice) for choice in self.choices if isinstance(choice, str)]
        return (f"--{stem}", f"--no-{stem}", *(f"--{stem}-{word}" for word in words))

    @property
    def flag_values(self) -> tuple[object, ...]:
        """Value that each of `flags` sets; empty if the flag takes a value.

        A switch with a third state has a third flag, not an optional value, which would consume
        the positional argument after it.
        """
        if self.type is not bool:
            return ()
        return (True, False, *(choice for choice in self.choices if isinstance(choice, str)))

    @property
    def rule(self) -> str:
        """The rule in words: ``an integer >= 1``."""
        return self._worded()

    def _worded(self, more: str = "") -> str:
        if self.choices:
            text = "one of " + ", ".join(shown_choice(choice) for choice in self.choices)
        else:
            text = _NOUNS[self.type] + self._bounds() + more
            text += " or module:Class" if self.class_allowed else ""
        return f"{text}, or none" if self.optional else text

    def allows(self, value: float) -> bool:
        """Whether a number, of the type of the field, is finite and within the bounds."""
        low, high = self.range
        return (isinstance(value, int) or math.isfinite(value)) and low <= value <= high

    @property
    def range(self) -> tuple[float, float]:
        """The bounds of a number, those of all numbers where the field declares none."""
        largest = LARGEST_INTEGER if self.type is int else LARGEST_NUMBER
        if self.above is not None:
            low = max(self.above, SMALLEST_NUMBER)
        else:
            low = -largest if self.minimum is None else self.minimum
        return low, largest if self.maximum is None else self.maximum

    def rule_for(self, value: object) -> str:
        """Return the rule that a value breaks, with the bounds of all numbers if it is those."""
        if not isinstance(value, int | float) or isinstance(value, bool) or self.choices:
            return self.rule
        if self.type not in (int, float):
            return self.rule
        low, high = self.range
        if self.maximum is None and value > high:
            return self._worded(f" and <= {shown_number(high)}")
        if self.above is not None and self.above < value < low:
            return self._worded(f" and >= {shown_number(low)}")
        return self.rule

    def _bounds(self) -> str:
        if self.above is not None:
            return f" > {self.above:g}" + self._at_most()
        if self.minimum is not None and self.maximum is not None:
            return f" from {self.minimum:g} to {self.maximum:.10g}"
        return f" >= {self.minimum:g}" if self.minimum is not None else self._at_most()

    def _at_most(self) -> str:
        return "" if self.maximum is None else f" and <= {self.maximum:g}"

    def default_text(self, default: object = attrs.NOTHING) -> str:
        """Write a default in words.

        Parameters
        ----------
        default : object, optional
            A command's own default. Default: that of the class.
        """
        if default is attrs.NOTHING:
            default = self.default
        if default is None:
            return self.none_means or "none"
        return shown_number(default) if isinstance(default, float) else shown_choice(default)


_NOUNS: Mapping[type, str] = MappingProxyType(
    {
        int: "an integer",
        float: "a finite number",
        bool: "true or false",
        str: "a name (a letter, then letters, digits, _ . / -)",
        Path: "a path",
    }
)


def shown_choice(value: object) -> str:
    """Write a plain value as users type it: ``true``, ``64``, ``warn``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown_number(value: float) -> str:
    """Write a float as users type it: ``1e9``, ``0.001``, ``4``."""
    text = (
        f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else repr(value)
    )
    return re.sub(r"e([+-])0*", lambda sign: "e" + sign[1].strip("+"), text)


def about(
    text: str,
    *,
    legacy: str | None = SAME_NAME,
    choices: tuple[object, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    none_means: str = "",
    example: object = None,
    class_allowed: bool = False,
) -> dict[str, object]:
    """Return metadata of a field: its help, and properties that are not in its annotation.

    Parameters
    ----------
    text : str
        Help text for a beamline scientist: meaning, unit, effect.
    legacy : str or None
        Key in the legacy dictionary; by default the name of the field; None for none.
    choices, minimum, maximum, above, none_means, example, class_allowed
        As in `OptionSpec`.

    Returns
    -------
    dict
        To be passed as ``attrs.field(metadata=...)``.
    """
    facts = {
        "help": text,
        "legacy": legacy,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "none_means": none_means,
        "example": example,
        "class_allowed": class_allowed,
    }
    return {METADATA_KEY: facts}


@cache
def option_specs(cls: type) -> tuple[OptionSpec, ...]:
    """Describe the fields of a configuration class, in the order of definition.

    Parameters
    ----------
    cls : type
        One of the configuration classes. A nested configuration (``model``) is not included; use
        its class instead.

    Returns
    -------
    tuple of OptionSpec
    """
    return tuple(
        _spec_of(cls, field) for field in attrs.fields(cls) if METADATA_KEY in field.metadata
    )


def _spec_of(cls: type, field: "attrs.Attribute[Any]") -> OptionSpec:
    facts = dict(field.metadata[METADATA_KEY])
    kind, choices, optional = _read_annotation(field.type)
    facts["choices"] = facts["choices"] or choices
    if facts["legacy"] == SAME_NAME:
        facts["legacy"] = field.name
    return OptionSpec(
        name=field.name,
        group=getattr(cls, "GROUP", cls.__name__),
        type=kind,
        optional=optional,
        default=plain_value(field.default),
        **facts,
    )


def _read_annotation(annotation: object) -> tuple[type, tuple[object, ...], bool]:
    """Split an annotation into scalar type, allowed values and whether None is allowed."""
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else [annotation]
    kinds: list[type] = []
    choices: list[object] = []
    for member in members:
        if get_origin(member) is Literal:
            kinds.append(str)
            choices.extend(get_args(member))
        elif isinstance(member, type) and issubclass(member, Enum):
            kinds.append(str)
            choices.extend(item.value for item in member)
        elif isinstance(member, type) and member is not type(None):
            kinds.append(member)
    if bool in kinds and choices:  # a switch with further states: bool | Literal["warn"]
        choices = [True, False, *choices]
    return (bool if bool in kinds else kinds[0]), tuple(choices), type(None) in members


def plain_value(value: object) -> object:
    """Convert a field's value for JSON: paths and enumerations become strings."""
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def documented(cls: ConfigClass) -> ConfigClass:
    """Add the fields to the docstring of a class, with the help texts of the options."""
    lines = [cls.__doc__ or "", "", "    Attributes", "    ----------"]
    for spec in option_specs(cls):
        lines += [f"    {spec.name} : {spec.rule}; default {spec.default_text()}"]
        lines += [f"        {spec.help}"]
    cls.__doc__ = "\n".join(lines) + "\n    "
    return cls
