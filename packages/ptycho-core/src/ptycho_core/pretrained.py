"""Trained models that installed packages bring, by name.

A package registers a model under the entry point group ``ptycho.models``::

    [project.entry-points."ptycho.models"]
    universal = "ptycho_pretrained:UNIVERSAL"

The object is the path of a bundle, or of the folder that holds it. A file `CARD` in that folder
describes the model for people: what it was trained on, what it can do and what not.

Wherever a trained model is asked for, its name may stand for its path. A file or folder of that
name, in the working directory, comes first.
"""

import os
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from attrs import frozen
from ptycho_config.errors import InvalidValueError, MissingPackageError, describe
from ptycho_config.install import SOURCE, install_command
from ptycho_config.paths import expanded
from ptycho_config.text_files import read_regular

__all__ = [
    "CARD",
    "GROUP",
    "UNIVERSAL",
    "InstalledModel",
    "card",
    "find_model",
    "is_installed",
    "located",
]

#: Group of the entry points.
GROUP = "ptycho.models"
#: Name of the model that is taken where none is named.
UNIVERSAL = "universal"
#: Name of the text about a model, beside its bundle.
CARD = "card.md"
#: Longest such text, in bytes.
_LONGEST_CARD = 2**16


@frozen
class InstalledModel:
    """A trained model that a package brings.

    Attributes
    ----------
    name : str
        Name that it is registered under.
    path : Path
        The bundle, or its folder.
    package : str
        Name and version of the package.
    """

    name: str
    path: Path
    package: str

    def __str__(self) -> str:
        """Return the name, and where it is from."""
        return f"{self.name} ({self.package})"


@cache
def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def model_names() -> list[str]:
    """Return the names of all installed models."""
    return sorted(_installed())


def find_model(name: str) -> InstalledModel:
    """Return an installed model.

    Raises
    ------
    InvalidValueError
        No installed package registers one of that name.
    MissingPackageError
        It is registered, but its package does not load, or `UNIVERSAL` is not installed.
    """
    entry = _installed().get(name)
    if entry is None:
        if name == UNIVERSAL:
            command = install_command("ptycho-pretrained")
            msg = f"the model {name} is not installed; install it {SOURCE}: {command}"
            raise MissingPackageError(msg)
        rule = f"one of {', '.join(model_names()) or 'none that is installed'}"
        raise InvalidValueError("model", rule, describe(name), "or the path of a bundle")
    try:
        path = Path(entry.load())
    except Exception as error:  # foreign code may raise anything while it is imported
        message = f"model {name} is registered by {entry.value}, which does not load: {error}"
        raise MissingPackageError(message) from error
    package = "" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    return InstalledModel(name, path, package)


def is_installed(path: Path) -> bool:
    """Whether a path is that of an installed model, which was not trained with the user's beam."""
    return any(find_model(name).path == path for name in model_names())


def located(model: str | os.PathLike[str]) -> Path:
    """Return the path of a model that is named by its path, or by the name of an installed one.

    What is on disk comes first. A name that is neither is returned as a path, which does not exist.

    Raises
    ------
    MissingPackageError
        The package of an installed model does not load.
    """
    path = expanded(model)
    name = os.fspath(model)
    if name in _installed() and not os.path.lexists(path):
        return find_model(name).path
    return path


def card(path: Path) -> str:
    """Return the text about the model at a path; empty if there is none.

    Raises
    ------
    InvalidValueError
        It is no text, or too long.
    """
    file = (path if path.is_dir() else path.parent) / CARD
    if not file.is_file():
        return ""
    try:
        return read_regular(file, limit=_LONGEST_CARD).decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"{file}", "text in UTF-8", "other bytes") from error
