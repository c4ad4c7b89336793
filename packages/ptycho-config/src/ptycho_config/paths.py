"""Paths as people type them."""

import os
import re
from pathlib import Path

__all__ = ["expanded", "natural"]

_DIGITS = re.compile(r"(\d+)")


def expanded(path: str | os.PathLike[str]) -> Path:
    """Replace ``~`` and ``~user`` at the start of a path.

    A name that only looks like that, such as ``~scan.npz``, stays as it is, while `Path.expanduser`
    raises RuntimeError.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - see above


def natural(name: str | os.PathLike[str]) -> tuple[tuple[str, int], ...]:
    """Key that sorts numbers within names by their value.

    Examples
    --------
    >>> sorted(["scan_10", "scan_9"], key=natural)
    ['scan_9', 'scan_10']
    """
    parts = _DIGITS.split(str(name))
    numbers = [*map(int, parts[1::2]), -1]
    return tuple(zip(parts[::2], numbers, strict=True))
