"""Choose the backend."""

import os
from typing import Any

from ptycho_config import MissingPackageError
from ptycho_core.backends import backend_names, find_backend, require

from ptycho.params import cfg

__all__ = ["VARIABLE", "choose"]

#: Environment variable that names a backend.
VARIABLE = "PTYCHO_BACKEND"


def choose(asked: Any = None, usual: str = "tensorflow") -> str:
    """Choose a backend without importing it.

    Parameters
    ----------
    asked
        Backend of the settings; with None the legacy dictionary, then `VARIABLE` is used.
    usual
        Default, if it is installed; otherwise the one that is installed.

    Returns
    -------
    str
        Name of the backend: ``"tensorflow"``, ``"pytorch"``, or another one.

    Raises
    ------
    InvalidValueError
        If no backend has that name.
    MissingPackageError
        If it is not installed, or none is; the message has the pip command.
    """
    named = asked or cfg.get("backend") or os.environ.get(VARIABLE)
    if named:
        return require(named).name
    installed = [name for name in backend_names() if not find_backend(name).missing()]
    if not installed:
        found = map(find_backend, backend_names())
        commands = ", or ".join(f"{one.source}: {one.pip_command}" for one in found)
        raise MissingPackageError(f"no backend is installed; install one {commands}")
    return usual if usual in installed else installed[0]
