"""Outputs that would replace what a command reads."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ptycho_config.errors import InvalidValueError

from ptycho_data._manifest import ResultSetError, read_manifest

__all__ = ["refuse_inputs"]

#: Files of a folder that a command may read when the folder is named: scans, results, models.
_READ = (
    *(f"{stem}.{suffix}" for stem in ("diffraction", "product") for suffix in ("h5", "npz", "cxi")),
    *("product-in.h5", "product-in.npz", "reconstruction.npz", "wts.h5.zip"),
    *("manifest.json", "config.json", "history.json", "scaling.json"),
    *("probe.npy", "weights.safetensors"),
)


#: Scans in two files, of which either may be named.
_PAIRS = ("diffraction.h5", "product.h5", "diffraction.npz", "product.npz")


def refuse_inputs(
    outputs: Iterable[str | os.PathLike[str]],
    inputs: Iterable[str | os.PathLike[str] | None],
) -> None:
    """Refuse to replace or remove what is read, through links too, even with ``--overwrite``.

    Parameters
    ----------
    outputs
        Files that will be written or removed; they may be missing.
    inputs
        Files and folders that are read. None is skipped, and so is what does not exist.

    Raises
    ------
    InvalidValueError
        An output is one of the inputs, or one of the files read in a folder among them.
    """
    there = [path for path in map(Path, outputs) if os.path.exists(path)]  # noqa: PTH110 - Path.exists raises where it may not look
    if not there:
        return
    for read in (file for path in inputs if path is not None for file in _files(Path(path))):
        for path in there:
            with contextlib.suppress(OSError):
                if path.samefile(read):
                    raise InvalidValueError(
                        f"{path}",
                        "another file than the inputs",
                        "an input of this command",
                        "choose another output; inputs are never replaced",
                    )


def _files(path: Path) -> Iterator[Path]:
    yield path
    if os.path.isdir(path):  # noqa: PTH112 - as above
        names = set(_READ)
        with contextlib.suppress(ResultSetError):
            names |= set(read_manifest(path) or ())
        yield from (path / name for name in sorted(names))
    elif path.name in _PAIRS:
        yield from (path.with_name(name) for name in _PAIRS)
