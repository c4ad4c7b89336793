"""A small scan cut from a large one: the same bytes for the same input, with its origin."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data.__about__ import __version__
from ptycho_data._files import file_sha256, refuse_existing, write_json, write_npz
from ptycho_data._inputs import refuse_inputs
from ptycho_data._scan import Scan
from ptycho_data._sets import result_set
from ptycho_data.formats._npz import contract_members

__all__ = ["RULE", "axis_coverage", "fixture_indices", "save_fixture"]

#: How `fixture_indices` chooses, for the sidecar.
RULE = (
    "one pattern from each of subset_size stretches of equal length, at a place within the stretch "
    "that follows the van der Corput sequence in base 2 or 3, whichever spans more of both axes"
)


def fixture_indices(positions: ArrayLike, subset_size: int) -> NDArray[np.int64]:
    """Spread indices evenly over a scan, without falling into step with its rows.

    The scan is cut into `subset_size` stretches of equal length, and each gives one index. Taking
    the first of each would hit the same column of a raster again and again whenever a stretch is
    a whole number of rows. So the place within the stretch follows a van der Corput sequence,
    which fills an interval evenly (Niederreiter, Random Number Generation and Quasi-Monte Carlo
    Methods, 1992, section 3.1). A scan can be in step with one base, rows of a snake with base 2
    for instance, but hardly with two: of bases 2 and 3 the one is taken whose indices span more.

    Parameters
    ----------
    positions : array_like, (n, 2)
        Positions of the scan, in its order.
    subset_size
        How many to choose.

    Returns
    -------
    ndarray, (subset_size,) int64
        Distinct, ascending.

    Raises
    ------
    InvalidValueError
        If there are not that many.
    """
    points = np.asarray(positions, dtype=np.float64)
    n = len(points)
    if not 1 <= subset_size <= n:
        raise InvalidValueError("subset_size", f"1 to {n}, the patterns", f"{subset_size}")
    cuts = np.arange(subset_size + 1) * n // subset_size
    choices = [
        cuts[:-1] + np.floor(_van_der_corput(subset_size, base) * np.diff(cuts)).astype(np.int64)
        for base in (2, 3)
    ]
    return max(choices, key=lambda indices: min(axis_coverage(points, indices).values()))


def _van_der_corput(count: int, base: int) -> NDArray[np.float64]:
    """Return 0 .. count - 1, each with its digits mirrored at the point: numbers in [0, 1)."""
    left, mirrored, scale = np.arange(count), np.zeros(count, np.int64), 1
    while left.any():
        mirrored = mirrored * base + left % base
        left //= base
        scale *= base
    return mirrored / scale


def axis_coverage(positions: ArrayLike, indices: NDArray[np.int64]) -> dict[str, float]:
    """Return which part of a scan's extent some of its positions span, per axis.

    Parameters
    ----------
    positions : array_like, (n, 2)
        Positions of the whole scan, (x, y).
    indices
        Some of them.

    Returns
    -------
    dict
        ``x`` and ``y``, each between 0 and 1; 1 for an axis along which the scan does not move.
    """
    points = np.asarray(positions, dtype=np.float64)
    whole, part = np.ptp(points, axis=0), np.ptp(points[indices], axis=0)
    share = np.where(whole > 0, part / np.where(whole > 0, whole, 1), 1.0)
    return {"x": float(share[0]), "y": float(share[1])}


def save_fixture(
    path: str | os.PathLike[str],
    scan: Scan,
    subset_size: int = 64,
    *,
    metadata_out: str | os.PathLike[str] | None = None,
    sources: Iterable[str | os.PathLike[str]] = (),
    command: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a few patterns of a scan as a scan file, with a JSON sidecar that describes them.

    The file follows the NPZ contract and is compressed. The same scan gives the same bytes, in both
    files, which appear together if they are in one folder; the sidecar has the hash of the scan.

    Parameters
    ----------
    path
        NPZ file to write.
    scan
        Where the patterns come from. Its object is kept whole.
    subset_size
        How many patterns; all of them where the scan has fewer.
    metadata_out
        The sidecar; by default it has the name of `path` with ``.json`` at the end.
    sources
        Files the scan was read from, recorded by name and SHA-256; by default `Scan.files`.
    command
        What made the file, for the sidecar; by default the command `ptycho fixture` that does.
    overwrite
        Replace existing files.

    Returns
    -------
    dict
        The content of the sidecar.

    Raises
    ------
    InvalidValueError
        If `subset_size` is less than 1, `path` would be its own sidecar, or one of them is a file
        of the scan.
    OutputExistsError, OSError
        As :func:`ptycho_data.result_set`; neither file has been touched.
    """
    target = Path(path)
    sidecar = target.with_suffix(".json") if metadata_out is None else Path(metadata_out)
    if sidecar == target:
        raise InvalidValueError(
            "the output", "a name that ends in .npz", f"{target.name}", "the sidecar has this name"
        )
    names = {target.name, sidecar.name}
    refuse_inputs([target, sidecar], [*sources, *scan.files])
    if not overwrite:
        refuse_existing([target, sidecar])
    indices = fixture_indices(scan.positions, min(subset_size, scan.n))
    arrays = _members(scan.select(indices))
    files = [Path(source) for source in sources] or list(scan.files)
    content: dict[str, Any] = {
        "sources": [{"name": file.name, "sha256": file_sha256(file)} for file in files],
        "output": {"name": target.name, "sha256": ""},
        "subset_size": len(indices),
        "source_patterns": scan.n,
        "indices_rule": RULE,
        "indices": indices,
        "arrays": {k: {"shape": list(v.shape), "dtype": str(v.dtype)} for k, v in arrays.items()},
        "domain": scan.domain,
        "coverage": axis_coverage(scan.positions, indices),
        "tool": f"ptycho-data {__version__}",
        "command": command or _command(files, target, subset_size, metadata_out),
    }

    def write(file: Path, description: Path, *, replace: bool) -> None:
        write_npz(file, arrays, overwrite=replace, compress=True)
        content["output"]["sha256"] = file_sha256(file)
        write_json(description, content, overwrite=replace)

    if os.path.realpath(target.parent) == os.path.realpath(sidecar.parent):
        with result_set(target.parent, overwrite=overwrite, names=names) as folder:
            write(folder / target.name, folder / sidecar.name, replace=False)
    else:
        write(target, sidecar, replace=overwrite)
    return content


def _members(scan: Scan) -> dict[str, NDArray[Any]]:
    """Arrays of the contract in its order and dtypes, in memory."""
    arrays = contract_members(scan)
    stack = np.asarray(arrays["diffraction"][:])
    arrays["diffraction"] = stack.astype(np.float32) if stack.dtype.kind == "f" else stack
    if "Y" in arrays:
        arrays["Y"] = np.asarray(arrays["Y"][:])
    return arrays


def _command(
    files: list[Path], target: Path, subset_size: int, sidecar: str | os.PathLike[str] | None
) -> str:
    """Command that makes the file again; names only, since folders differ between machines."""
    words = ["ptycho", "fixture", files[0].name if files else "SOURCE", "--output", target.name]
    words += ["--subset-size", str(subset_size)]
    words += [] if sidecar is None else ["--metadata-out", Path(sidecar).name]
    return shlex.join(words)
