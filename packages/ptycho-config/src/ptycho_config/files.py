"""Configuration files in TOML, YAML and JSON; each parser is imported when first needed."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ptycho_config.errors import ConfigError, describe
from ptycho_config.resolver import Layer

# YAML 1.1 reads 1e9 as text because it has neither dot nor sign; a number is meant.
_YAML_FLOAT = (
    r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$"
    r"|\.(?:nan|NaN|NAN)$"
)


def load_config_file(path: str | os.PathLike[str]) -> Layer:
    """Read settings from a file.

    Parameters
    ----------
    path : path-like
        File ending in ``.toml``, ``.yaml``, ``.yml`` or ``.json``. It holds the names of the
        command line options with underscores, flat or with those of the model and of the execution
        in tables ``model`` and ``execution``. Relative paths in it are relative to the working
        directory, as on the command line.

    Returns
    -------
    Layer
        Of origin ``config file``. Names and values are checked when it is resolved.

    Raises
    ------
    OSError
        If the file cannot be read.
    ConfigError
        If its format is not that of its suffix, a key is repeated, or it is no table of settings.
    """
    path = Path(path)
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise ConfigError(f"{path} must end in {', '.join(_PARSERS)} to be a configuration file")
    data = path.read_bytes()
    try:
        values = parse(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # decoding and parsing errors are ValueErrors
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is not valid {path.suffix[1:].upper()}: {reason}") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} must hold a table of names and values, got {describe(values)}")
    return Layer(origin="config file", values=values, source=str(path))


def _parse_toml(text: str) -> object:
    import tomllib

    return tomllib.loads(text)


def _parse_json(text: str) -> object:
    import json

    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [str(name) for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{', '.join(twice)} given twice")
    return table


def _parse_yaml(text: str) -> object:
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe loader that refuses repeated keys and reads 1e9 as a number."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [getattr(key, "value", key) for key, _ in node.value]
            _unique([(str(key), None) for key in keys])
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(_YAML_FLOAT), list("-+.0123456789")
    )
    try:
        values = yaml.load(text, Loader)  # noqa: S506  # a SafeLoader: builds plain values only
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    return {} if values is None else values


_PARSERS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {".toml": _parse_toml, ".yaml": _parse_yaml, ".yml": _parse_yaml, ".json": _parse_json}
)
