"""Start of the solver from an earlier result: its object, probe and positions, laid on a scan."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_config.paths import expanded
from ptycho_data import (
    RECONSTRUCTION_SET,
    Reconstruction,
    Scan,
    ScanFormatError,
    list_arrays,
    load_object,
    load_parts,
    load_reconstruction,
    read_set,
)
from ptycho_physics import Canvas
from ptycho_physics.probe_sampling import resample_image

from ptycho_core.analysis.comparison import SAME_PIXEL
from ptycho_core.file_arrays import complex_array
from ptycho_core.first_probe.sources import ProbeSource

__all__ = ["WarmStart", "warm_start"]

#: Positions up to this part of N from those of the scan are its refined ones.
_REFINED = 1 / 8
#: Smallest part of the scanned rectangle that the object has to cover.
_COVERED = 0.5
#: Shifts that differ from a whole pixel by less than this are whole.
_WHOLE = 1e-3


@frozen(kw_only=True, eq=False)
class WarmStart:
    """What a run of the solver starts from.

    Attributes
    ----------
    reconstruction : Reconstruction
        Object on the canvas of the positions, which are those of all patterns, and probe; at any
        scale.
    record : dict
        How it was laid on the scan, for ``run.json``.
    """

    reconstruction: Reconstruction
    record: dict[str, Any]

    def scan(self, scan: Scan) -> Scan:
        """Return a scan with this probe and these positions; a larger probe is no part of it."""
        rec = self.reconstruction
        x, y = (rec.positions + rec.origin).T
        moved = evolve(scan, xcoords=x, ycoords=y, probe_made=False)
        return moved if rec.N != scan.N else evolve(moved, probe=rec.probe)


@frozen(kw_only=True, eq=False)
class _Stored:
    """An object in a file.

    Attributes
    ----------
    name : str
    values : (H, W) complex64 array
    first : (2,) array
        Pixel (x, y) of ``values[0, 0]`` on its grid.
    centres : (k, 2) array or None
        Patch centres on its grid.
    indices : (k,) array or None
        Patterns that these belong to.
    pixel_size_m, origin_m
        Pixel of the grid, and the place of its zero on the stage, if known.
    """

    name: str
    values: NDArray[np.complex64]
    first: NDArray[np.float64]
    centres: NDArray[np.float64] | None
    indices: NDArray[np.int64] | None
    pixel_size_m: float | None
    origin_m: tuple[float, float] | None


def warm_start(path: Path, scan: Scan, sampling: int = 1) -> WarmStart:
    """Read the start of a run from an earlier result.

    Parameters
    ----------
    path
        Folder of a result, ``reconstruction.npz``, or a product or scan with an object. Pixels of
        another size and fractions of a pixel are resampled by Fourier series.
    scan
        The scan to solve. The positions of the result are used if they are close to its own.
    sampling
        With a coarse detector, the probe has so many times the pixels of a pattern along a side.

    Raises
    ------
    InvalidValueError
        If there is no object in the file, or it does not lie under the scan, or it is not known
        where it lies.
    ReconstructionError, ResultSetError, ScanFormatError
        If the file is damaged.
    """
    file = _file(expanded(path))
    stored = _read(file)
    scale, known = _relation(stored, scan)
    offset = known if known is not None else np.zeros(2)
    positions, moved = _positions(stored, scan, scale, offset)
    if moved is None and known is None:
        raise InvalidValueError(
            f"the object of {stored.name}",
            "that of this scan, or at a known place on the stage",
            "other positions, without their origin in metres",
            "take its probe alone with --first-probe FILE",
        )
    size = sampling * scan.N
    canvas = Canvas.covering(positions, size)
    first = (np.array(canvas.origin) - offset) / scale - stored.first
    object_, covered = _laid(stored, canvas, first, 1 / scale, positions)
    centres = canvas.local(positions)
    probe = ProbeSource(text=str(file), kind="file", file=str(file), values={}).make(scan, size)
    reconstruction = Reconstruction.of_scan(
        scan,
        object=object_,
        coverage=np.ones(object_.shape, np.float32),
        xcoords=centres[:, 0],
        ycoords=centres[:, 1],
        indices=np.arange(scan.n),
        probe=probe,
        origin=np.array(canvas.origin),
    )
    record = {
        "pixel_over_that_of_scan": scale,
        "shift_pixels": offset.tolist(),
        "covered": covered,
        "positions": "of the scan" if moved is None else "of the result",
        "positions_moved_rms": moved,
    }
    return WarmStart(reconstruction=reconstruction, record=record)


def _file(path: Path) -> Path:
    """Return the file of a result's folder, after a check that its files belong together."""
    inside = read_set(path, RECONSTRUCTION_SET) if path.is_dir() else path
    return inside if inside.is_file() else path


def _read(path: Path) -> _Stored:
    if _is_reconstruction(path):
        rec = load_reconstruction(path)
        return _Stored(
            name=path.name,
            values=rec.object,
            first=rec.origin.astype(np.float64),
            centres=rec.positions + rec.origin,
            indices=rec.indices,
            pixel_size_m=rec.pixel_size_m,
            origin_m=rec.origin_m,
        )
    try:
        found = load_object(path)
    except ScanFormatError as error:
        raise _without_object(path, str(error.violations[0].got)) from error
    if found is None:
        raise _without_object(path, "a file without one")
    first, pixel, place = np.array(found.origin), found.pixel_size_m, found.origin_m
    parts = load_parts(path, ("xcoords", "ycoords"))
    centres = None
    if parts.keys() == {"xcoords", "ycoords"}:
        centres = np.stack([parts["xcoords"], parts["ycoords"]], axis=-1).astype(float) + first
    return _Stored(
        name=path.name,
        values=complex_array(found.values, 2, path, "objectGuess"),
        first=first,
        centres=centres,
        indices=None if centres is None else np.arange(len(centres)),
        pixel_size_m=pixel,
        origin_m=None if place is None or pixel is None else _minus(place, first * pixel),
    )


def _is_reconstruction(path: Path) -> bool:
    try:
        return {"object", "origin", "coverage"} <= {name for name, _ in list_arrays(path)}
    except ScanFormatError:
        return False


def _minus(place: tuple[float, float], shift: NDArray[np.float64]) -> tuple[float, float]:
    return float(place[0] - shift[0]), float(place[1] - shift[1])


def _without_object(path: Path, got: str) -> InvalidValueError:
    rule = "a result, or a product or scan with an object"
    return InvalidValueError(f"{path}", rule, got, "take a probe alone with --first-probe FILE")


def _relation(stored: _Stored, scan: Scan) -> tuple[float, NDArray[np.float64] | None]:
    """Return its pixel over that of the scan, and its zero in the grid of the scan if known."""
    scale, mine, theirs = 1.0, scan.pixel_size_m, stored.pixel_size_m
    if mine is not None and theirs is not None and abs(theirs / mine - 1) > SAME_PIXEL:
        scale = theirs / mine
    if mine is None or theirs is None or scan.origin_m is None or stored.origin_m is None:
        return scale, None
    return scale, (np.array(stored.origin_m) - np.array(scan.origin_m)) / mine


def _positions(
    stored: _Stored, scan: Scan, scale: float, offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float | None]:
    """Return the positions to start from, and their rms change; None if they are the scan's."""
    centres, indices, positions = stored.centres, stored.indices, scan.positions.copy()
    if centres is None or indices is None or not len(indices) or indices.max() >= scan.n:
        return positions, None
    moved = centres * scale + offset - positions[indices]
    if not np.abs(moved).max() <= scan.N * _REFINED:
        return positions, None
    positions[indices] += moved
    return positions, math.sqrt(float(np.mean(moved**2)))


def _laid(
    stored: _Stored,
    canvas: Canvas,
    first: NDArray[np.float64],
    step: float,
    positions: NDArray[np.float64],
) -> tuple[NDArray[np.complex64], float]:
    """Return the object on a canvas, and the part of the scanned rectangle that it covers.

    What it does not cover is like its mean.
    """
    size = np.array(stored.values.shape)
    places = [first[axis] + np.arange(canvas.shape[1 - axis]) * step for axis in (0, 1)]
    inside = [(at > -_WHOLE) & (at < size[1 - axis] - 1 + _WHOLE) for axis, at in enumerate(places)]
    local = canvas.local(positions)
    covered = 1.0
    for axis in (0, 1):
        low, high = np.floor(local[:, axis].min()), np.ceil(local[:, axis].max())
        covered *= float(np.mean(inside[axis][int(low) : int(high) + 1]))
    if covered < _COVERED:
        raise InvalidValueError(
            f"the object of {stored.name}",
            "under at least half of the scan",
            f"under {100 * covered:.0f} % of it",
        )
    values = stored.values
    whole = np.rint(first)
    if step == 1.0 and np.abs(first - whole).max() < _WHOLE:
        columns, rows = (
            np.clip(whole[axis] + np.arange(canvas.shape[1 - axis]), 0, size[1 - axis] - 1)
            for axis in (0, 1)
        )
        laid = values[np.ix_(rows.astype(int), columns.astype(int))]
    else:
        laid = resample_image(values, canvas.shape, first=(first[1], first[0]), step=step)
    there = inside[1][:, None] & inside[0]
    mean = np.mean(laid[there])
    amplitude = np.sqrt(np.mean(np.abs(laid[there]) ** 2))
    flat = amplitude * np.exp(1j * np.angle(mean))
    return np.where(there, laid, flat).astype(np.complex64), covered
