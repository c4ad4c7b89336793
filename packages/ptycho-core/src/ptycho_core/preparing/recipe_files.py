"""Recipes as TOML files: names of the options of ``ptycho prepare``, underscores for hyphens."""

import json
import os
from pathlib import Path

from ptycho_config import load_config_file
from ptycho_config.errors import ConfigError
from ptycho_config.plain_text import printable
from ptycho_data import atomic_path

from ptycho_core.preparing.recipe import Recipe, recipe_from, settings

__all__ = ["load_recipe", "save_recipe"]


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path
        A TOML file with settings by their names.

    Raises
    ------
    ConfigError
        It is no TOML file, or breaks the rules of a recipe.
    OSError
        It cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() != ".toml":
        raise ConfigError(f"{path} must end in .toml to be a recipe")
    return recipe_from(load_config_file(path).values, source=str(path))


def save_recipe(path: str | os.PathLike[str], recipe: Recipe, *, overwrite: bool = False) -> None:
    """Write a recipe as TOML, atomically: the settings that are given, with what they mean.

    Raises
    ------
    OutputExistsError
        The file exists, and ``overwrite`` is not set.
    """
    lines = ["# ptycho prepare RAW -o scan.npz --recipe " + printable(Path(path).name)]
    section, given = "", recipe.given()
    for setting in settings():
        if setting.name not in given:
            continue
        if setting.section != section:
            section = setting.section
            lines += ["", f"# {section}"]
        lines.append(f"{setting.name} = {_toml(given[setting.name])}  # {setting.help}")
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False)
