"""The result of a reconstruction: object, coverage, and the positions of its patches."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import field, frozen
from ptycho_config.errors import MissingFileError, PtychoError, sentence

from ptycho_data._contract import MissingScanError, ScanFormatError
from ptycho_data._files import write_npz
from ptycho_data._npz import load_arrays

__all__ = ["Reconstruction", "ReconstructionError", "load_reconstruction", "save_reconstruction"]

_ARRAYS = {
    "object": "complex64",
    "coverage": "float32",
    "xcoords": "float64",
    "ycoords": "float64",
    "indices": "int64",
    "probe": "complex64",
    "origin": "int64",
}


class ReconstructionError(PtychoError, ValueError):
    """Arrays that are no reconstruction: every rule that is broken, in one line."""


class MissingReconstructionError(ReconstructionError, MissingFileError):
    """There is no such file."""


def _cast(value: npt.ArrayLike, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Cast within a kind (complex128 to complex64); arrays of other kinds stay as they are.

    The checks come later, all at once, when the names of the fields are at hand.
    """
    array = np.asarray(value)
    # An empty list is float64 to NumPy, whatever it is a list of.
    fits = array.size == 0 or np.can_cast(array.dtype, dtype, "same_kind")
    return array.astype(dtype, copy=False) if fits else array


def _complex64(value: npt.ArrayLike) -> npt.NDArray[np.complex64]:
    return _cast(value, np.complex64)


def _float32(value: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return _cast(value, np.float32)


def _float64(value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return _cast(value, np.float64)


def _int64(value: npt.ArrayLike) -> npt.NDArray[np.int64]:
    return _cast(value, np.int64)


@frozen(kw_only=True, eq=False)
class Reconstruction:
    """An object on its canvas.

    Coordinates are pixels, pairs in order (x, y) = (column, row). A position is the canvas
    coordinate of patch pixel ``[N//2, N//2]``; add `origin` for the coordinate in the object grid
    of the scan.

    Parameters
    ----------
    object
        complex64 (H, W).
    coverage
        float32 (H, W), weight summed over the patches: 0 where no patch lies.
    xcoords, ycoords
        float64 (k,), patch centres in canvas pixels, one per pattern used.
    indices
        int64 (k,), index of each pattern in its scan.
    probe
        complex64 (M, N, N), modes first.
    origin
        int64 (2,), object-grid pixel of canvas pixel [0, 0], as (x, y).
    pixel_size_m
        Size of an object pixel in metres, where known.

    Raises
    ------
    ReconstructionError
        Wrong kinds, shapes that do not fit together, NaN or inf, negative coverage, a zero probe.
    """

    object: npt.NDArray[np.complex64] = field(converter=_complex64)
    coverage: npt.NDArray[np.float32] = field(converter=_float32)
    xcoords: npt.NDArray[np.float64] = field(converter=_float64)
    ycoords: npt.NDArray[np.float64] = field(converter=_float64)
    indices: npt.NDArray[np.int64] = field(converter=_int64)
    probe: npt.NDArray[np.complex64] = field(converter=_complex64)
    origin: npt.NDArray[np.int64] = field(converter=_int64)
    pixel_size_m: float | None = None

    def __attrs_post_init__(self) -> None:
        """Hold all fields against each other."""
        problems = _kind_problems(self) or _shape_problems(self) or _value_problems(self)
        if problems:
            raise ReconstructionError("; ".join(problems))

    @property
    def N(self) -> int:  # noqa: N802 - the field's own name for it
        """Edge length of a patch in pixels."""
        return int(self.probe.shape[-1])

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        """Patch centres in canvas pixels, (k, 2), as (x, y)."""
        return np.stack([self.xcoords, self.ycoords], axis=-1)


def _kind_problems(rec: Reconstruction) -> list[str]:
    return [
        sentence(name, dtype, f"{getattr(rec, name).dtype}")
        for name, dtype in _ARRAYS.items()
        if getattr(rec, name).dtype != dtype
    ]


def _shape_problems(rec: Reconstruction) -> list[str]:
    problems = []
    if rec.object.ndim != 2 or rec.object.size == 0:
        problems.append(sentence("object", "of shape (H, W)", f"{rec.object.shape}"))
    if rec.coverage.shape != rec.object.shape:
        rule = f"of shape {rec.object.shape} like the object"
        problems.append(sentence("coverage", rule, f"{rec.coverage.shape}"))
    if rec.xcoords.ndim != 1:
        problems.append(sentence("xcoords", "of shape (k,)", f"{rec.xcoords.shape}"))
    for name in ("ycoords", "indices"):
        shape = getattr(rec, name).shape
        if shape != rec.xcoords.shape:
            rule = f"of shape {rec.xcoords.shape} like xcoords"
            problems.append(sentence(name, rule, f"{shape}"))
    shape = rec.probe.shape
    if rec.probe.ndim != 3 or shape[1] != shape[2] or rec.probe.size == 0:
        problems.append(sentence("probe", "of shape (M, N, N)", f"{shape}"))
    if rec.origin.shape != (2,):
        problems.append(sentence("origin", "of shape (2,) as (x, y)", f"{rec.origin.shape}"))
    return problems


def _value_problems(rec: Reconstruction) -> list[str]:
    problems = [
        sentence(name, "finite", "NaN or infinity")
        for name in ("object", "coverage", "xcoords", "ycoords", "probe")
        if not np.isfinite(getattr(rec, name)).all()
    ]
    if (rec.coverage < 0).any():
        problems.append(sentence("coverage", "at least 0", f"{rec.coverage.min():g}"))
    if not rec.probe.any():
        problems.append(sentence("probe", "nonzero somewhere", "zeros only"))
    size = rec.pixel_size_m
    if size is not None and not 0 < size < np.inf:
        problems.append(sentence("pixel_size_m", "above 0", f"{size}"))
    return problems


def save_reconstruction(
    path: str | os.PathLike[str], rec: Reconstruction, overwrite: bool = False
) -> Path:
    """Write ``reconstruction.npz``, atomically; equal content gives equal bytes.

    Parameters
    ----------
    path
        The file to write.
    rec
        The reconstruction. Its fields become the members of the same names.
    overwrite
        Replace an existing file.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    arrays: dict[str, npt.ArrayLike] = {name: getattr(rec, name) for name in _ARRAYS}
    if rec.pixel_size_m is not None:
        arrays["pixel_size_m"] = np.float64(rec.pixel_size_m)
    return write_npz(path, arrays, overwrite=overwrite)


def load_reconstruction(path: str | os.PathLike[str]) -> Reconstruction:
    """Read what :func:`save_reconstruction` wrote, trusting nothing; members unknown are ignored.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Reconstruction

    Raises
    ------
    ReconstructionError
        The file cannot be read, lacks arrays, or they break the rules of `Reconstruction`: one
        line that begins with `path` and lists what was found.
    """
    try:
        arrays: dict[str, Any] = load_arrays(Path(path), _ARRAYS, optional=["pixel_size_m"])
    except MissingScanError:
        raise MissingReconstructionError(
            f"{path} must be a reconstruction, got no such file"
        ) from None
    except ScanFormatError as error:
        problems = "; ".join(
            sentence(v.key or "the file", v.rule, v.got, v.advice) for v in error.violations
        )
        raise ReconstructionError(f"{path}: not a reconstruction: {problems}") from error
    size = arrays.pop("pixel_size_m", None)
    if size is not None and (size.shape != () or size.dtype.kind not in "iuf"):
        got = f"{size.dtype} {size.shape}"
        raise ReconstructionError(f"{path}: {sentence('pixel_size_m', 'one number', got)}")
    try:
        return Reconstruction(**arrays, pixel_size_m=None if size is None else float(size))
    except ReconstructionError as error:
        raise ReconstructionError(f"{path}: {error}") from error
