"""``python -m`` puts the working directory first on the import path: take it off again.

Data lie in the working directory, and a file ``numpy.py`` among them would be executed. Every entry
``python -m ptycho_...`` imports this module before any other of a library; it needs only modules
that are part of the interpreter. Nothing is changed in programs of others, which may rely on that
folder.
"""

import itertools
import os
import sys

_OURS = ("ptycho", "ptycho_cli", "ptycho_torch")


def _module_started() -> str:
    """Name the module that ``python -m`` runs; empty if Python was started otherwise."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None:
        return str(spec.name)
    if sys.argv[:1] != ["-m"]:  # Python's stand-in until it has found the module
        return ""
    pairs = itertools.pairwise(sys.orig_argv[1:])
    return next((name for flag, name in pairs if flag.startswith("-") and flag.endswith("m")), "")


def leave_working_directory() -> None:
    """Take the working directory off the import path if one of our modules is started by name."""
    if _module_started().partition(".")[0] not in _OURS or sys.flags.safe_path:
        return
    try:
        here = os.getcwd()  # noqa: PTH109  pathlib is not imported yet
    except OSError:  # the folder has been deleted
        here = ""
    if sys.path[:1] in ([""], [here]):
        del sys.path[0]


leave_working_directory()
