"""Files of frames that follow each other: which belong together, their order, what is missing."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice, pairwise
from pathlib import Path

from ptycho_config.paths import natural

from ptycho_data._violations import WHOLE_FILE, ScanFormatError

__all__ = ["in_order", "missing_numbers"]

_DIGITS = re.compile(r"(\d+)")


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Return the files of a series in the order of the numbers in their names.

    Raises
    ------
    ScanFormatError
        Their names differ in more than numbers.
    """
    kinds = Counter(_DIGITS.sub("*", path.name) for path in paths)
    if len(kinds) > 1:
        named = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))
        folder = paths[0].parent
        rule = "of files whose names differ in numbers alone"
        advice = "name the files of one series"
        raise ScanFormatError.of(folder, WHOLE_FILE, rule, named, advice)
    return sorted(paths, key=lambda path: natural(path.name))


def missing_numbers(paths: Sequence[Path], most: int = 5) -> tuple[int, list[int]]:
    """Return how many numbers a series in order leaves out, and the first of them.

    None if several numbers vary. Times in names are far apart: not all that lies between is listed.
    """
    columns = list(zip(*(natural(path.name)[:-1] for path in paths), strict=True))
    varying = [column for column in columns if len(set(column)) > 1]
    if len(varying) != 1:
        return 0, []
    numbers = [number for _, number in varying[0]]
    gaps = [range(low + 1, high) for low, high in pairwise(numbers)]
    count = sum(max(0, gap.stop - gap.start) for gap in gaps)
    return count, list(islice(chain.from_iterable(gaps), most))
