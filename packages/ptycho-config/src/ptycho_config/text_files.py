"""The one reader of text that people give us: settings, run records, recipes, JSON inside files.

Such text may come from anywhere. Only regular files are opened, size and nesting are bounded before
anything is built, repeated names are refused, and so is whatever has more than one meaning.
"""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ptycho_config.errors import ConfigError, describe

#: Largest file of settings, in bytes, the most values in it, and the deepest nesting of its tables
#: and lists. A file that names every setting with its help has 11 kB, 80 values and two levels.
SIZE_LIMIT = 2**16
ITEM_LIMIT = 1000
DEPTH_LIMIT = 16
#: Longest line of a TOML file: the time to read a dotted key grows with the square of its length.
TOML_LINE_LIMIT = 1000


def read_table(
    path: str | os.PathLike[str], *, limit: int = SIZE_LIMIT, items: int = ITEM_LIMIT
) -> dict[str, Any]:
    """Read a table of names and values from a TOML, YAML or JSON file.

    Parameters
    ----------
    path : path-like
        File ending in ``.toml``, ``.yaml``, ``.yml`` or ``.json``.
    limit : int
        Largest size in bytes.
    items : int
        The most values, those in nested tables and lists counted.

    Returns
    -------
    dict
        Name to value: text, number, true or false, None, and lists and tables of these (in TOML
        also dates).

    Raises
    ------
    OSError
        If the file cannot be read.
    ConfigError
        If it is not a regular file, too large, not of the format of its suffix, nested too deeply,
        repeats a name, or holds no table.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _PARSERS:
        raise ConfigError(f"{path} must end in {', '.join(_PARSERS)} to be a configuration file")
    data = read_regular(path, limit=limit)
    try:
        values = parse_text(data.decode("utf-8-sig"), suffix, items=items)
    except ValueError as error:  # decoding errors are ValueErrors, too
        raise ConfigError(f"{path} is not valid {suffix[1:].upper()}: {_reason(error)}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a table of names and values, got {describe(values)}")
    return values


def read_regular(path: str | os.PathLike[str], *, limit: int) -> bytes:
    """Read a small regular file whole; nothing else is opened, so that no read waits.

    Raises
    ------
    OSError
        If the file cannot be read.
    ConfigError
        If it is a pipe, a device or a folder, or larger than `limit` bytes.
    """
    _refuse_irregular(path, Path(path).stat().st_mode)
    # Another file may have taken its place since: a pipe is then opened without waiting for a
    # writer, and refused before it is read.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as stream:
        _refuse_irregular(path, os.fstat(stream.fileno()).st_mode)
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ConfigError(f"{os.fspath(path)} must have at most {limit} bytes, got more")
    return data


def _refuse_irregular(path: str | os.PathLike[str], mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    got = kinds.get(stat.S_IFMT(mode), "a device")
    raise ConfigError(f"{os.fspath(path)} must be a regular file, got {got}")


def parse_text(text: str, suffix: str, *, items: int | None = None) -> object:
    """Parse TOML, YAML or JSON text.

    Parameters
    ----------
    text : str
        The text; its size is bounded by the caller.
    suffix : str
        ``.toml``, ``.yaml``, ``.yml`` or ``.json``.
    items : int, optional
        The most values. Default: any number.

    Raises
    ------
    ValueError
        If it is something else, repeats a name, has more than `items` values, or is nested more
        than 16 deep.
    """
    try:
        values = _PARSERS[suffix](text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_extent(values, items)
    return values


_TOO_DEEP = f"tables and lists must be nested at most {DEPTH_LIMIT} deep"


def _check_extent(values: object, items: int | None) -> None:
    """Walk level by level: recursion could not walk what has to be refused."""
    level: list[object] = [values]
    total = 0
    for _ in range(DEPTH_LIMIT + 1):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
        total += len(below)
        if items is not None and total > items:
            raise ValueError(f"it must hold at most {items} values")
        if not below:
            return
        level = below
    raise ValueError(_TOO_DEEP)


def _reason(error: ValueError) -> str:
    if "integer string conversion" in str(error):  # Python advises to change its own limit
        return "it holds a whole number of thousands of digits"
    return " ".join(str(error).split())


def unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return a table of `pairs`; ValueError for a name that is given twice."""
    table: dict[Any, Any] = {}
    for name, value in pairs:
        if name in table:
            raise ValueError(f"{describe(name)} is given twice")
        table[name] = value
    return table


def _parse_toml(text: str) -> object:
    import tomllib

    if max(map(len, text.splitlines()), default=0) > TOML_LINE_LIMIT:
        raise ValueError(f"lines must have at most {TOML_LINE_LIMIT} characters")
    return tomllib.loads(text)


def _parse_json(text: str) -> object:
    import json

    def refuse(constant: str) -> object:
        raise ValueError(f"{constant} is no number of JSON")

    return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)


def _parse_yaml(text: str) -> object:
    from ptycho_config._yaml import parse_yaml

    return parse_yaml(text)


_PARSERS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {".toml": _parse_toml, ".yaml": _parse_yaml, ".yml": _parse_yaml, ".json": _parse_json}
)
