"""Which backend trains or reconstructs."""

import os
from typing import Any

from ptycho_core.backends import BACKENDS, require

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
        ``"tensorflow"`` or ``"pytorch"``.

    Raises
    ------
    ValueError
        If no backend has that name.
    RuntimeError
        If it is not installed, or none is; the message has the pip command.
    """
    named = asked or cfg.get("backend") or os.environ.get(VARIABLE)
    if named:
        return require(named).name
    installed = [name for name, backend in BACKENDS.items() if not backend.missing()]
    if not installed:
        commands = " or ".join(f'pip install "ptychopinn[{b.extra}]"' for b in BACKENDS.values())
        raise RuntimeError(f"no backend is installed, and one is needed: {commands}")
    return usual if usual in installed else installed[0]
