"""Which backend trains or reconstructs."""

import os
from typing import Any

from ptycho_config import MissingPackageError
from ptycho_core.backends import backend_names, find_backend, require

from ptycho.params import cfg

__all__ = ["VARIABLE", "choose"]

#: Environment variable that names a backend.
VARIABLE = "PTYCHO_BACKEND"


def choose(asked: Any = None, usual: str = "tensorflow") -> str:
    """Decide on a backend without loading it.

    Parameters
    ----------
    asked
        What the settings say; None asks the legacy dictionary, then `VARIABLE`.
    usual
        Taken where nobody says, if it is installed; else the one that is.

    Returns
    -------
    str
        Its name: ``"tensorflow"``, ``"pytorch"``, or that of another one.

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
        commands = " or ".join(find_backend(name).pip_command for name in backend_names())
        raise MissingPackageError(f"no backend is installed, and one is needed: {commands}")
    return usual if usual in installed else installed[0]
