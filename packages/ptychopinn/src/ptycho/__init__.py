"""PtychoPINN behind the import name ptycho: what applications such as ptychodus call.

The modules here translate: from the calls, names and conventions of those applications to the
packages that do the work. Importing them loads no deep-learning framework; the backend is loaded
when a network is trained or run.
"""

from importlib import import_module
from typing import Any

from ptycho.__about__ import __version__

_MODULES = frozenset(
    {
        "config",
        "loader",
        "model",
        "model_manager",
        "params",
        "probe",
        "raw_data",
        "tf_helper",
        "workflows",
    }
)

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    """Import a module of the package when it is first asked for: ``ptycho.params``."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
