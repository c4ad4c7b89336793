"""Configuration files in TOML, YAML and JSON."""

import os

from ptycho_config.resolver import Layer
from ptycho_config.text_files import read_table


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
        If it is not a regular file of at most 64 KiB, its format is not that of its suffix, a key
        is repeated, or it is no table of settings.
    """
    return Layer(origin="config file", values=read_table(path), source=os.fspath(path))
