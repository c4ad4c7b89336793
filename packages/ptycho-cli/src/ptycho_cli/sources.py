"""Where the parts of a simulated scan come from: made by name, or read from a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data import load_parts, load_probe
from ptycho_physics import Canvas, objects, probes, scans

__all__ = [
    "OBJECTS",
    "PROBES",
    "SCANS",
    "Parts",
    "extend",
    "make_object",
    "make_probe",
    "make_scan",
]

OBJECTS: dict[str, Callable[[tuple[int, int], int], NDArray[np.complex64]]] = {
    "lines": lambda shape, seed: objects.line_object(shape, seed=seed),
    "siemens": lambda shape, _: objects.siemens_star(shape),
    "random": lambda shape, seed: objects.random_cells(shape, seed=seed),
}
PROBES: dict[str, Callable[[int, float | None], NDArray[np.complex64]]] = {
    "disk": lambda N, size: probes.disk_probe(N, size),
    "gaussian": lambda N, size: probes.gaussian_probe(N, size),
    "defocused": lambda N, size: probes.defocused_probe(N, size),
}
SCANS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "raster": scans.raster_scan,
    "snake": scans.snake_scan,
    "spiral": scans.spiral_scan,
    "fermat": scans.fermat_scan,
    "random": scans.random_scan,
}


@frozen(kw_only=True, eq=False)
class Parts:
    """What a simulation is made of; None for what is still to be made.

    Attributes
    ----------
    object : (H, W) complex64 array or None
    probe : (M, N, N) complex64 array or None
    positions : (n, 2) float64 array or None
        ``(x, y)`` in object pixels.
    """

    object: NDArray[np.complex64] | None = None
    probe: NDArray[np.complex64] | None = None
    positions: NDArray[np.float64] | None = None

    @classmethod
    def from_file(cls, path: Path) -> "Parts":
        """Take object, probe and positions from a scan or product that has some of them."""
        found = load_parts(path, ("objectGuess", "probeGuess", "xcoords", "ycoords"))
        parts = cls()
        if "objectGuess" in found:
            parts = attrs.evolve(
                parts, object=as_complex(found["objectGuess"], 2, path, "objectGuess")
            )
        if "probeGuess" in found:
            parts = attrs.evolve(parts, probe=load_probe(path))
        if "xcoords" in found and "ycoords" in found:
            parts = attrs.evolve(
                parts, positions=_positions(found["xcoords"], found["ycoords"], path)
            )
        if parts.object is None and parts.probe is None and parts.positions is None:
            msg = (
                f"{path}: objectGuess, probeGuess or xcoords and ycoords expected, found none of "
                "them; give a file with at least one"
            )
            raise ValueError(msg)
        return parts


def as_complex(array: NDArray[Any], ndim: int, path: Path, name: str) -> NDArray[np.complex64]:
    if array.ndim != ndim or array.dtype.kind not in "fc" or array.size == 0:
        msg = (
            f"{path}: {name} must be a complex array of {ndim} axes, "
            f"found {array.shape} of {array.dtype}"
        )
        raise ValueError(msg)
    if not np.isfinite(array).all():
        msg = f"{path}: {name} must be finite, found NaN or infinity"
        raise ValueError(msg)
    return array.astype(np.complex64)


def _positions(x: NDArray[Any], y: NDArray[Any], path: Path) -> NDArray[np.float64]:
    if x.ndim != 1 or x.shape != y.shape or len(x) == 0:
        msg = (
            f"{path}: xcoords and ycoords must be one list each of equal length, "
            f"found {x.shape} and {y.shape}"
        )
        raise ValueError(msg)
    positions = np.stack([x, y], axis=1).astype(np.float64)
    if not np.isfinite(positions).all():
        msg = f"{path}: xcoords and ycoords must be finite, found NaN or infinity"
        raise ValueError(msg)
    return positions


def make_object(source: str, size: int | None, default: int, seed: int) -> NDArray[np.complex64]:
    """Make the object called ``source``, or read the picture of that name.

    Parameters
    ----------
    source
        ``lines``, ``siemens``, ``random``, or the path of a picture.
    size
        Side in pixels; a picture keeps its own size without it.
    default
        Side of a made object without ``size``.
    seed
        Seed of random objects.
    """
    if source in OBJECTS:
        side = size or default
        return OBJECTS[source]((side, side), seed)
    path = Path(source)
    if not path.exists():
        msg = f"object {source!r} is neither a file nor one of {', '.join(OBJECTS)}"
        raise FileNotFoundError(msg)
    return objects.object_from_image(_read_grey(path), shape=(size, size) if size else None)


def _read_grey(path: Path) -> NDArray[Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            # 16-bit greys are kept, everything else (colour, palette) becomes 8-bit grey.
            deep = image.mode.startswith(("I", "F"))
            return np.asarray(image if deep else image.convert("L"))
    except UnidentifiedImageError as error:
        msg = f"{path}: not a picture that can be read; use PNG, TIFF or JPEG"
        raise ValueError(msg) from error


def make_probe(source: str, N: int, size: float | None) -> NDArray[np.complex64]:
    """Make the probe called ``source`` with N pixels, or read it from an NPZ of that name.

    Raises
    ------
    FileNotFoundError
        There is no such file, nor such a kind.
    ValueError
        The probe does not fit.
    """
    if source in PROBES:
        return PROBES[source](N, size)
    path = Path(source)
    if not path.exists():
        msg = f"probe {source!r} is neither a file nor one of {', '.join(PROBES)}"
        raise FileNotFoundError(msg)
    return load_probe(path)


def make_scan(
    kind: str,
    shape: tuple[int, int],
    N: int,
    *,
    number: int | None,
    step: float | None,
    jitter: float,
    seed: int,
) -> NDArray[np.float64]:
    """Positions (n, 2) of a scan pattern over an object; every tenth of N without a step."""
    if number is None and step is None:
        step = N / 10
    return SCANS[kind](shape, N, number=number, step=step, jitter=jitter, seed=seed)


def extend(
    values: NDArray[np.complex64], positions: NDArray[np.float64], N: int
) -> tuple[NDArray[np.complex64], NDArray[np.float64], int]:
    """Extend an object with vacuum (ones) where patches reach over its border.

    Parameters
    ----------
    values : (H, W) complex array
        The object.
    positions : (n, 2) float64 array
        Patch centres ``(x, y)`` in object pixels.
    N
        Patch size in pixels.

    Returns
    -------
    extended : complex64 array
        Holds every patch.
    local : (n, 2) float64 array
        Positions in pixels of ``extended``.
    reaching : int
        Number of patches that reach over the border of ``values``.
    """
    needed = Canvas.covering(positions, N)
    left, top = (max(0, -start) for start in needed.origin)
    right = max(0, needed.origin[0] + needed.shape[1] - values.shape[1])
    bottom = max(0, needed.origin[1] + needed.shape[0] - values.shape[0])
    first = np.floor(positions) - N // 2
    last = np.ceil(positions) - N // 2 + N
    inside = np.all((first >= 0) & (last <= values.shape[::-1]), axis=1)
    extended = np.pad(values, ((top, bottom), (left, right)), constant_values=1)
    return extended, positions + np.array([left, top]), int(np.sum(~inside))
