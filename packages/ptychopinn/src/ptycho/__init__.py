"""PtychoPINN behind the import name ptycho: what applications such as ptychodus call.

`train` and `reconstruct` are those of `ptycho_core`. The modules here translate the calls, names
and conventions of those applications to the other packages. Importing them loads no deep-learning
framework; the backend is imported when a network is trained or run.
"""

from importlib import import_module
from typing import Any

from ptycho.__about__ import __version__
from ptycho._moved import MOVED

MOVED.install()

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

_CALLS = frozenset({"reconstruct", "train"})

__all__ = ["__version__", "reconstruct", "train"]


def __getattr__(name: str) -> Any:
    """Import a module of the package, or a function of `ptycho_core`, on first use."""
    if name in _CALLS:
        return getattr(import_module("ptycho_core"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    return MOVED.in_module(__name__)(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_CALLS})
