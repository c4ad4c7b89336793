"""Paths as people type them."""

import os
from pathlib import Path

__all__ = ["expanded"]


def expanded(path: str | os.PathLike[str]) -> Path:
    """Replace ``~`` and ``~user`` at the start of a path.

    A name that only looks like that, such as ``~scan.npz``, stays as it is, while `Path.expanduser`
    raises RuntimeError.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - see above
