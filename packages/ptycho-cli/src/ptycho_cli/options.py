"""Command-line options, generated from the configuration classes."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem
from ptycho_config import OptionSpec, option_specs
from ptycho_config.errors import describe
from ptycho_config.options import parse_number

from ptycho_cli.sections import SectionOption

__all__ = ["FieldType", "field_options", "given_values"]

#: Separates a field's name from the third state of a switch in a parameter's name.
STATE = "__is__"


if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:  # older versions of click do not have this type at run time
    _ParamType = click.ParamType


class FieldType(_ParamType):
    """Value of a configuration field, checked against the rule of the field.

    Parameters
    ----------
    spec
        The field. ``none`` is accepted if the field can be None.
    """

    def __init__(self, spec: OptionSpec) -> None:
        self.spec = spec
        self.name = spec.type.__name__.lower()

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Convert text to a value of the field.

        Raises
        ------
        click.BadParameter
            The text breaks the field's rule.
        """
        if not isinstance(value, str):
            return value
        if self.spec.optional and value.lower() == "none":
            return None
        found = self._choose(value) if self.spec.choices else self._parse(value)
        if found is None:
            self.fail(f"{self._rule_for(value)} expected, found {describe(value)}.", param, ctx)
        return found

    def _rule_for(self, text: str) -> str:
        try:
            return self.spec.rule_for(parse_number(self.spec.type, text))
        except (KeyError, ValueError):  # no number
            return self.spec.rule

    def _choose(self, text: str) -> object:
        exact = {str(choice): choice for choice in self.spec.choices}
        return exact.get(text) or {k.lower(): v for k, v in exact.items()}.get(text.lower())

    def _parse(self, text: str) -> object:
        """Return the value of a text that is no choice; None if it is not valid."""
        if self.spec.type not in (int, float):
            return self.spec.type(text) if text and "\0" not in text else None
        try:
            value = parse_number(self.spec.type, text)
        except ValueError:
            return None
        return value if self.spec.allows(value) else None

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the allowed values, or files for a path."""
        del ctx, param
        if self.spec.type is Path:
            return [CompletionItem(incomplete, type="file")]
        texts = (str(choice) for choice in self.spec.choices)
        return [CompletionItem(text) for text in texts if text.startswith(incomplete)]


def _metavar(spec: OptionSpec) -> str:
    if spec.choices:
        return "[" + "|".join(str(choice) for choice in spec.choices) + "]"
    return {int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(spec.type, "NAME")


def _help(spec: OptionSpec, defaults: Mapping[str, object]) -> str:
    default = (
        spec.default_text(defaults[spec.name]) if spec.name in defaults else spec.default_text()
    )
    return f"{spec.help}  [default: {default}]"


def _options(spec: OptionSpec, defaults: Mapping[str, object]) -> list[SectionOption]:
    text = _help(spec, defaults)
    if spec.type is not bool:
        return [
            SectionOption(
                [*spec.flags, spec.name],
                type=FieldType(spec),
                metavar=_metavar(spec),
                default=None,
                help=text,
                section=spec.group,
            )
        ]
    on, off, *states = spec.flags
    switch = SectionOption([f"{on}/{off}", spec.name], default=None, help=text, section=spec.group)
    extra = [
        SectionOption(
            [flag, f"{spec.name}{STATE}{value}"],
            is_flag=True,
            help=f"As {on}, with the value {value!r}.",
            section=spec.group,
        )
        for flag, value in zip(states, spec.flag_values[2:], strict=True)
    ]
    return [switch, *extra]


def field_options(
    *classes: type, skip: Collection[str] = (), defaults: Mapping[str, object] | None = None
) -> Callable[[click.Command], click.Command]:
    """Give a command one option per field of the configuration classes.

    Parameters
    ----------
    classes
        Configuration classes, in the order their sections appear in the help.
    skip
        Fields that are not options of the command.
    defaults
        The command's own defaults, shown in the help; they are not applied here.

    Returns
    -------
    Callable
        Decorator for a command; its callback receives the values among ``**options``.
    """

    def decorate(command: click.Command) -> click.Command:
        taken = {param.name for param in command.params}
        for spec in (spec for cls in classes for spec in option_specs(cls)):
            if spec.name not in skip and spec.name not in taken:
                command.params.extend(_options(spec, defaults or {}))
        return command

    return decorate


def given_values(ctx: click.Context, *classes: type) -> dict[str, object]:
    """Return the field values given on the command line, without defaults.

    Parameters
    ----------
    ctx
        Context of the running command.
    classes
        Configuration classes of the fields.
    """
    fields = {spec.name for cls in classes for spec in option_specs(cls)}
    values: dict[str, object] = {}
    for name, value in ctx.params.items():
        field, _, state = name.partition(STATE)
        source = ctx.get_parameter_source(name)
        if field in fields and source is click.core.ParameterSource.COMMANDLINE:
            values[field] = state or value
    return values
