"""Scan files that somebody broke: seeded mutations of valid files of every format."""

import shutil
from pathlib import Path

import hdf5s
import numpy as np
import octets
import valid
import zips
from attrs import frozen

NAMES = list(valid.FORMATS)


@frozen(kw_only=True)
class Mutant:
    """A folder with a broken scan.

    Attributes
    ----------
    path
        File to load.
    label
        Format, mutation and seed.
    original
        Format of the valid file that it must still equal, as far as it can be read: damage by
        chance, in a format that has checksums. None where anything valid will do.
    trap
        File that appears if something in the mutant is executed.
    """

    path: Path
    label: str
    original: str | None
    trap: Path


def make(seed: int, folder: Path, trap: Path) -> Mutant:
    """Write the mutant of a seed into an emptied folder.

    Formats follow one another, and the mutations of a format do: few seeds see all of them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    rng = np.random.default_rng(seed)
    name, turn = NAMES[seed % len(NAMES)], seed // len(NAMES)
    path = valid.FORMATS[name](folder)
    inside = [*zips.MEMBERS, *zips.ARCHIVES] if path.suffix == ".npz" else hdf5s.MUTATIONS
    kinds = [kind for pair in _mixed(octets.MUTATIONS, inside) for kind in pair]
    kind = kinds[turn % len(kinds)]
    files = sorted(folder.iterdir())
    target = files[int(rng.integers(len(files)))]
    if kind in octets.MUTATIONS:
        octets.mutate(target, kind, rng)
    elif kind in hdf5s.MUTATIONS:
        hdf5s.mutate(target, kind, rng)
    else:
        zips.mutate(target, kind, rng, trap)
    return Mutant(
        path=path,
        label=f"{name}, {kind.__module__}.{kind.__name__}, seed {seed}",
        original=name if kind in octets.MUTATIONS and path.suffix == ".npz" else None,
        trap=trap,
    )


def _mixed(first: list, second: list) -> list[tuple]:
    """Pair two lists, going round the shorter one."""
    count = max(len(first), len(second))
    return [(second[k % len(second)], first[k % len(first)]) for k in range(count)]
