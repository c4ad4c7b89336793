"""The result of a reconstruction: object, coverage, and the positions of its patches."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from attrs import asdict, field, frozen
from ptycho_config.errors import InvalidValueError, MissingFileError, PtychoError, sentence

from ptycho_data._files import write_npz
from ptycho_data._npz import load_arrays
from ptycho_data._scan import Scan
from ptycho_data._sets import RECONSTRUCTION_SET, read_set
from ptycho_data._statements import read_metadata, read_statements, statements
from ptycho_data._violations import Findings, MissingScanError, ScanFormatError
from ptycho_data.display import Displayed
from ptycho_data.units import Particle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
#: Maps that files may lack: they are made only where they are asked for.
_MAPS = {"amplitude_error": "float32", "phase_error": "float32"}

#: The slices of a thick object, which files of thin ones lack.
_SLICES = {"slices": "complex64"}

_OPTIONAL = (*_MAPS, *_SLICES)

_NUMBERS = (
    "pixel_size_m",
    "nphotons",
    "photon_energy_ev",
    "detector_distance_m",
    "detector_pixel_size_m",
)
#: Scalars that files may lack, and the kinds of types they may have.
_SCALARS = {"pixel_size_m": "iuf", "nphotons": "iuf", "_metadata": "US"}


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


def _complex64_or_none(value: npt.ArrayLike | None) -> npt.NDArray[np.complex64] | None:
    return None if value is None else _complex64(value)


def _float32_or_none(value: npt.ArrayLike | None) -> npt.NDArray[np.float32] | None:
    return None if value is None else _float32(value)


def _float64(value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return _cast(value, np.float64)


def _int64(value: npt.ArrayLike) -> npt.NDArray[np.int64]:
    return _cast(value, np.int64)


@frozen(kw_only=True, eq=False, repr=False)
class Reconstruction(Displayed):
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
    amplitude_error, phase_error
        float32 (H, W), standard errors of the amplitude and, in radians, of the phase; NaN where
        they are not known. None where nobody asked for them.
    slices
        complex64 (L, H, W), the slices of a thick object in the order in which the light passes
        them; `object` is their product. None of a thin object.
    pixel_size_m
        Size of an object pixel in metres, where known.
    origin_m
        (x, y) in metres of pixel (0, 0) of the object grid on the stage, where known.
    photon_energy_ev, detector_distance_m, detector_pixel_size_m, particle
        The experiment, as in `Scan`.
    nphotons
        Mean photons per pattern, where known.
    name
        Of the scan.
    run
        How it was made: command, version, inputs and settings, fit for JSON.

    Raises
    ------
    ReconstructionError
        Wrong kinds, shapes that do not fit together, NaN or inf, negative coverage or errors, a
        zero probe.
    """

    object: npt.NDArray[np.complex64] = field(converter=_complex64)
    coverage: npt.NDArray[np.float32] = field(converter=_float32)
    xcoords: npt.NDArray[np.float64] = field(converter=_float64)
    ycoords: npt.NDArray[np.float64] = field(converter=_float64)
    indices: npt.NDArray[np.int64] = field(converter=_int64)
    probe: npt.NDArray[np.complex64] = field(converter=_complex64)
    origin: npt.NDArray[np.int64] = field(converter=_int64)
    amplitude_error: npt.NDArray[np.float32] | None = field(
        default=None, converter=_float32_or_none
    )
    phase_error: npt.NDArray[np.float32] | None = field(default=None, converter=_float32_or_none)
    slices: npt.NDArray[np.complex64] | None = field(default=None, converter=_complex64_or_none)
    pixel_size_m: float | None = None
    origin_m: tuple[float, float] | None = None
    photon_energy_ev: float | None = None
    detector_distance_m: float | None = None
    detector_pixel_size_m: float | None = None
    particle: Particle = "photon"
    nphotons: float | None = None
    name: str = ""
    run: Mapping[str, Any] | None = None

    @classmethod
    def of_scan(cls, scan: Scan, **arrays: Any) -> Self:
        """Make a reconstruction of a scan, with what the scan knows of experiment and stage.

        Parameters
        ----------
        scan
            The scan.
        **arrays
            The fields that the reconstruction has of its own: object, coverage, probe, ...
        """
        try:
            photons = scan.mean_photons()
        except InvalidValueError:  # amplitudes of unknown scale
            photons = None
        return cls(
            pixel_size_m=scan.pixel_size_m,
            origin_m=scan.origin_m,
            photon_energy_ev=scan.photon_energy_ev,
            detector_distance_m=scan.detector_distance_m,
            detector_pixel_size_m=scan.detector_pixel_size_m,
            particle=scan.particle,
            nphotons=photons,
            name=scan.name,
            **arrays,
        )

    def __attrs_post_init__(self) -> None:
        """Hold all fields against each other."""
        problems = _kind_problems(self) or _shape_problems(self) or _value_problems(self)
        if problems:
            raise ReconstructionError("; ".join(problems))

    def _facts(self) -> dict[str, str]:
        height, width = self.object.shape
        modes = f"{len(self.probe)} mode{'s' * (len(self.probe) > 1)} of {self.N} x {self.N}"
        pixel = self.pixel_size_m
        return {
            "object": f"{height} x {width} pixels",
            "patterns": f"{len(self.indices)}",
            "probe": modes,
            "object pixel": "" if pixel is None else f"{pixel * 1e9:.4g} nm",
            "scan": self.name,
            "made by": str((self.run or {}).get("command", "")),
        }

    def plot(self, *, unwrap: bool = False) -> "Figure":
        """Draw amplitude and phase where they were measured.

        Parameters
        ----------
        unwrap
            Draw the phase without jumps of 2 pi; the object stays as it is.

        Raises
        ------
        MissingPackageError
            matplotlib, or scikit-image to unwrap, is not installed.
        """
        from ptycho_data.plots import plot_object

        return plot_object(self, unwrap=unwrap)

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
        for name, dtype in {**_ARRAYS, **_MAPS, **_SLICES}.items()
        if getattr(rec, name) is not None and getattr(rec, name).dtype != dtype
    ]


def _shape_problems(rec: Reconstruction) -> list[str]:
    problems = []
    if rec.object.ndim != 2 or rec.object.size == 0:
        problems.append(sentence("object", "of shape (H, W)", f"{rec.object.shape}"))
    for name in ("coverage", *_MAPS):
        values = getattr(rec, name)
        if values is not None and values.shape != rec.object.shape:
            rule = f"of shape {rec.object.shape} like the object"
            problems.append(sentence(name, rule, f"{values.shape}"))
    if rec.slices is not None and rec.slices.shape != (len(rec.slices), *rec.object.shape):
        rule = f"of shape (L, {', '.join(map(str, rec.object.shape))}) like the object"
        problems.append(sentence("slices", rule, f"{rec.slices.shape}"))
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
        for name in ("object", "coverage", "xcoords", "ycoords", "probe", "slices")
        if getattr(rec, name) is not None and not np.isfinite(getattr(rec, name)).all()
    ]
    if (rec.coverage < 0).any():
        problems.append(sentence("coverage", "at least 0", f"{rec.coverage.min():g}"))
    for name in _MAPS:
        values = getattr(rec, name)
        if values is not None and ((values < 0) | np.isinf(values)).any():
            problems.append(sentence(name, "at least 0 and finite, or NaN", "other values"))
    if not rec.probe.any():
        problems.append(sentence("probe", "nonzero somewhere", "zeros only"))
    for name in _NUMBERS:
        value = getattr(rec, name)
        if value is not None and not 0 < value < np.inf:
            problems.append(sentence(name, "above 0", f"{value}"))
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
        The reconstruction. Its fields become the members of the same names; experiment, origin in
        metres, name and run are JSON text in ``_metadata``, under the keys of a scan's.
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
    arrays |= {name: getattr(rec, name) for name in _OPTIONAL if getattr(rec, name) is not None}
    for name in ("pixel_size_m", "nphotons"):
        if getattr(rec, name) is not None:
            arrays[name] = np.float64(getattr(rec, name))
    metadata = statements(rec) | {"name": rec.name or None, "run": rec.run}
    known = {key: value for key, value in metadata.items() if value is not None}
    if known:
        arrays["_metadata"] = np.array(json.dumps(known))
    return write_npz(path, arrays, overwrite=overwrite)


def load_reconstruction(path: str | os.PathLike[str]) -> Reconstruction:
    """Read what :func:`save_reconstruction` wrote, trusting nothing; members unknown are ignored.

    Parameters
    ----------
    path
        The file, or the folder of a result, whose files must belong together.

    Returns
    -------
    Reconstruction

    Raises
    ------
    ReconstructionError
        The file cannot be read, lacks arrays, or they break the rules of `Reconstruction`: one
        line that begins with `path` and lists what was found.
    ResultSetError
        The files of the folder do not belong together.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where it may not look
        path = read_set(path, RECONSTRUCTION_SET)
    try:
        arrays: dict[str, Any] = load_arrays(Path(path), _ARRAYS, optional=(*_OPTIONAL, *_SCALARS))
    except MissingScanError:
        raise MissingReconstructionError(
            f"{path} must be a reconstruction, got no such file"
        ) from None
    except ScanFormatError as error:
        problems = "; ".join(
            sentence(v.key or "the file", v.rule, v.got, v.advice) for v in error.violations
        )
        raise ReconstructionError(f"{path}: not a reconstruction: {problems}") from error
    try:
        fields = {name: arrays[name] for name in (*_ARRAYS, *_OPTIONAL) if name in arrays}
        return Reconstruction(**fields, **_stated(arrays))
    except ReconstructionError as error:
        raise ReconstructionError(f"{path}: {error}") from error


def _stated(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the fields besides the arrays, as the scalars of a file state them."""
    scalars = {name: arrays[name] for name in _SCALARS if name in arrays}
    for name, value in scalars.items():
        if value.shape != () or value.dtype.kind not in _SCALARS[name]:
            rule = "one text" if name == "_metadata" else "one number"
            raise ReconstructionError(sentence(name, rule, f"{value.dtype} {value.shape}"))
    findings = Findings("reconstruction")
    stated, metadata = read_statements(scalars, findings), read_metadata(scalars, findings)
    if findings.violations:
        raise ReconstructionError("; ".join(str(found) for found in findings.violations))
    title, run = metadata.get("name"), metadata.get("run")
    return asdict(stated.experiment) | {
        "particle": stated.experiment.particle or "photon",
        "origin_m": stated.origin_m,
        "nphotons": stated.nphotons,
        "name": title if isinstance(title, str) else "",
        "run": run if isinstance(run, dict) else None,
    }
