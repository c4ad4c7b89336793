"""The options that say how frames become patterns: those of a recipe."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import click
from ptycho_core.preparing.recipe import Recipe, Setting, merge, settings
from ptycho_core.preparing.recipe_files import load_recipe

from ptycho_cli.sections import SectionOption
from ptycho_cli.values import Whole

__all__ = ["given_recipe", "recipe_options"]


def _option(setting: Setting) -> SectionOption:
    """Make the option of a setting of the recipe."""
    more: dict[str, Any] = {"help": setting.help, "default": None, "section": setting.section}
    if setting.kind == "switch":
        off = setting.flag.replace("--", "--no-", 1)
        return SectionOption([f"{setting.flag}/{off}", setting.name], **more)
    if setting.choices:
        return SectionOption(
            [setting.flag, setting.name], type=click.Choice(list(setting.choices)), **more
        )
    kind = Whole(1) if setting.kind == "whole" else click.STRING
    metavar = setting.metavar or None
    return SectionOption([setting.flag, setting.name], type=kind, metavar=metavar, **more)


def recipe_options(skip: Collection[str] = ()) -> Callable[[click.Command], click.Command]:
    """Give a command one option for each setting of a recipe, except those to skip."""

    def decorate(command: click.Command) -> click.Command:
        command.params[0:0] = [_option(one) for one in settings() if one.name not in skip]
        return command

    return decorate


def given_recipe(path: Path | None, values: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a file, with what the command line says on top.

    Parameters
    ----------
    path
        The file; None starts from nothing.
    values
        Values of all options of a command, None for those that are not given.
    """
    names = (setting.name for setting in settings())
    given = {name: values[name] for name in names if values.get(name) is not None}
    return merge(Recipe() if path is None else load_recipe(path), given)
