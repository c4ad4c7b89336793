"""CXI 1.6, the format of the Coherent X-ray Imaging Data Bank, in one file or two.

================================  =============================================================
``entry_1/data_1/data``           patterns (n, N, N), counts, zero frequency at ``[N//2, N//2]``
                                  (in the corner, and moved, if its attribute ``is_fft_shifted``
                                  says so); or at ``instrument_1/detector_1/data``
``.../detector_1/mask``           (N, N) bit mask: any bit but "has signal" is a bad pixel
``.../detector_1/distance``       metres; ``x_pixel_size``, ``y_pixel_size`` too
``.../source_1/energy``           photon energy in joules
``sample_1/geometry_1/``          ``translation`` (n, 3): positions of the probe on the sample in
                                  metres, x to the right, y down, as ptychodus has it; older
                                  files keep it at ``data_1/translation``
``image_1``, ``image_2``          probe and object; what CXI has no key for (size of their
                                  pixels, centre of the object) is in ``entry_1/ptychodus``
================================  =============================================================

`ptycho_data._geometry` documents the half pixel between the conventions.
"""

from os import PathLike
from typing import Any

import h5py
import numpy as np

from ptycho_data.__about__ import __version__
from ptycho_data._changes import CentredSource
from ptycho_data._contract import describe_array
from ptycho_data._files import atomic_path
from ptycho_data._hdf5 import H5File
from ptycho_data._protected import put, put_group, put_text, write_hdf5
from ptycho_data._scan import Scan
from ptycho_data._space import need_space
from ptycho_data._stack import LazyStack
from ptycho_data.formats._base import Container, Format, Opened, Raw, find_partner, first_of
from ptycho_data.formats._beam import read_energy
from ptycho_data.formats._cxi_detector import (
    DETECTOR,
    DISTANCE,
    USUAL_AXES,
    DetectorAxes,
    read_axes,
    read_detector,
    read_mask,
    subtract_dark,
)
from ptycho_data.formats._metres import ELECTRON_ENERGY, NOMINAL, ScanInMetres
from ptycho_data.formats._quantities import length, scale
from ptycho_data.formats._written_metres import (
    GeometryInMetres,
    equivalent_photon_ev,
    in_metres,
    left_out,
    write_patterns,
)
from ptycho_data.units import EV_J, metres_per

__all__ = ["FORMAT", "write_cxi"]

_VERSION = 160  # 1.6, as the format wants it
_INVALID = 1  # bit of the mask
_NUMBERS_OF_PROBE = ("coherent", "incoherent", "y", "x")


def write_cxi(path: str | PathLike[str], scan: Scan, overwrite: bool = False) -> list[str]:
    """Write patterns, positions, probe and object into one CXI file.

    Parameters
    ----------
    path
        The file.
    scan
        The scan. Patterns are written as counts, the probe as it is.
    overwrite
        Replace an existing file.

    Returns
    -------
    list of str
        What could not be carried over, one line each.

    Raises
    ------
    InvalidValueError
        The scan holds amplitudes and the photons are not known.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    photons = scan.mean_photons()
    place = in_metres(scan)

    def fill(file: h5py.File) -> None:
        put(file, "cxi_version", _VERSION)
        entry = put_group(file, "entry_1")
        _write_instrument(entry, scan, place)
        positions = np.zeros((scan.n, 3))
        positions[:, 0], positions[:, 1] = place.x_m, place.y_m
        put(entry, "sample_1/geometry_1/translation", positions)
        links = put_group(entry, "data_1")
        links["data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        links["translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")
        _write_images(entry, scan, place)
        _write_extras(entry, scan, place, photons)
        put(entry, "process_1/program", "ptycho-data")
        put(entry, "process_1/version", __version__)

    itemsize = scan.diffraction.dtype.itemsize if scan.domain == "counts" else 4
    need_space(path, scan.n * scan.N**2 * itemsize)
    with atomic_path(path, overwrite=overwrite) as temporary:
        write_hdf5(temporary, fill)
    return [*place.lost, *left_out(scan)]


def _write_instrument(entry: h5py.Group, scan: Scan, place: GeometryInMetres) -> None:
    source = put_group(entry, "instrument_1/source_1")
    detector = put_group(entry, "instrument_1/detector_1")
    if place.energy_ev:
        # joules; of electrons as that of photons of their wavelength, which is what others expect
        put(source, "energy", equivalent_photon_ev(place.energy_ev, place.particle) * EV_J)
        if place.particle == "electron":
            put(source, "probe", "electron")
    if place.distance_m:
        put(detector, "distance", place.distance_m)
    if place.detector_pixel_m:
        for axis in "xy":
            put(detector, f"{axis}_pixel_size", place.detector_pixel_m)
    data = write_patterns(detector, "data", scan)
    put_text(data, "axes", "translation:y:x")
    if scan.bad_pixels is not None:
        mask = np.where(scan.bad_pixels, _INVALID, 0).astype(np.uint32)
        put(detector, "mask", mask)


def _write_images(entry: h5py.Group, scan: Scan, place: GeometryInMetres) -> None:
    images: tuple[tuple[str, Any, str, str], ...] = (
        ("image_1", scan.probe[np.newaxis], ":".join(_NUMBERS_OF_PROBE), "amplitude"),
        ("image_2", place.object[np.newaxis], "layer:y:x", "electron density"),
    )
    for name, values, axes, kind in images:
        image = put_group(entry, name)
        put_text(put(image, "data", values), "axes", axes)
        put(image, "data_type", kind)
        put(image, "data_space", "real")
        height, width = values.shape[-2:]
        size = np.array([width * place.pixel_m, height * place.pixel_m, 0.0])
        put(image, "image_size", size)


def _write_extras(entry: h5py.Group, scan: Scan, place: GeometryInMetres, photons: float) -> None:
    extras = put_group(entry, "ptychodus")
    put(extras, "probe_position_indexes", np.arange(scan.n))
    for what in ("probe", "object"):
        put(extras, f"{what}_pixel_width_m", place.pixel_m)
        put(extras, f"{what}_pixel_height_m", place.pixel_m)
    put(extras, "object_center_x_m", place.center_m[0])
    put(extras, "object_center_y_m", place.center_m[1])
    if place.nominal:
        put(extras, NOMINAL, 1)
    if place.particle == "electron":
        put(extras, ELECTRON_ENERGY, place.energy_ev)
    put(extras, "probe_photon_count", photons)
    put(extras, "tomography_angle_deg", 0.0)


ENTRY = "entry_1"
_DATA = (f"{ENTRY}/data_1/data", f"{DETECTOR}/data")
_TRANSLATION = (
    f"{ENTRY}/sample_1/geometry_1/translation",
    f"{ENTRY}/data_1/translation",
    f"{DETECTOR}/translation",
    f"{ENTRY}/sample_1/geometry/translation",
)
#: The probe of SHARP and COSMIC (ALS): as supplied, and as reconstructed.
_PROBES = (
    f"{ENTRY}/instrument_1/source_1/illumination",
    f"{ENTRY}/image_1/process_1/final_illumination",
    f"{ENTRY}/image_latest/process_1/final_illumination",
)
#: The first image: the probe in files of ptychodus and ours, the object in those of others.
_IMAGE = f"{ENTRY}/image_1/data"
_OBJECT = f"{ENTRY}/image_2/data"
_EXTRA = f"{ENTRY}/ptychodus"


def _holds_patterns(file: Container) -> bool:
    return isinstance(file, H5File) and first_of(file, _DATA) is not None


def _holds_positions(file: Container) -> bool:
    return isinstance(file, H5File) and first_of(file, _TRANSLATION) is not None


def _matches(file: Container) -> bool:
    return _holds_patterns(file) or _holds_positions(file)


def _pair_of(file: Container, first: str, second: str) -> tuple[float, float] | None:
    one, other = length(file, first), length(file, second)
    return None if one is None or other is None else (one, other)


def _probe_of(file: Container) -> str | None:
    """Return where the probe is."""
    name = first_of(file, _PROBES)
    says_so = first_of(file, (f"{_EXTRA}/probe_pixel_width_m", f"{_EXTRA}/probe_photon_count"))
    return _IMAGE if name is None and says_so and _IMAGE in file else name


def _centre(found: ScanInMetres) -> None:
    """Move zero frequency from the corner, where the file says it is, to the centre."""
    if found.stack is not None:
        found.stack = LazyStack(CentredSource(found.stack))
        found.remarks.append("patterns: zero frequency moved from the corner to the centre")
    if found.bad_pixels is not None:
        found.bad_pixels = np.fft.fftshift(found.bad_pixels)


def _read_patterns(
    file: Container, axes: DetectorAxes, opened: Opened, found: ScanInMetres
) -> None:
    name = first_of(file, _DATA)
    if name is None or not isinstance(file, H5File):
        return
    with opened.collecting("diffraction"):
        found.stack = file.stack(name)
    with opened.collecting("bad_pixels"):
        found.bad_pixels = read_mask(file, found)
    with opened.collecting("diffraction"):
        subtract_dark(file, found)
        if found.stack is not None and file.number(name, "is_fft_shifted"):
            _centre(found)
    with opened.collecting("diffraction"):
        read_detector(file, axes, opened, found)


def _read_product(file: Container, axes: DetectorAxes, opened: Opened, found: ScanInMetres) -> None:
    with opened.collecting("xcoords"):
        name = str(first_of(file, _TRANSLATION))
        translation = file.read(name)
        if found.stack is not None and translation.shape == (3, len(found.stack)) != (3, 3):
            translation = translation.T
        if translation.ndim != 2 or translation.shape[1] < 2:
            rule = "of shape (n, 3) in metres, x first"
            opened.findings.add("xcoords", rule, describe_array(translation))
        else:
            unit_m = scale(file, name, metres_per) or 1.0
            x, y = axes.along(translation, found.cautions)
            found.set_values("x_m", x, unit_m)
            found.set_values("y_m", y, unit_m)
    numbers = f"{_EXTRA}/probe_position_indexes"
    if numbers in file:
        with opened.collecting("xcoords"):
            found.position_indexes = file.read(numbers)
            found.indexes = None if found.stack is None else np.arange(len(found.stack))
    probe = _probe_of(file)
    if probe is not None:
        with opened.collecting("probeGuess"):
            found.probe = file.read(probe)
    if _OBJECT in file:
        with opened.collecting("objectGuess"):
            found.object = file.read(_OBJECT)
    with opened.collecting("pixel_size_m"):
        found.nominal = bool(file.number(f"{_EXTRA}/{NOMINAL}"))
        sizes = [_pair_of(file, f"{_EXTRA}/{what}_pixel_width_m", f"{_EXTRA}/{what}_pixel_height_m")
                 for what in ("object", "probe")]  # fmt: skip
        found.pixel_m = next((size for size in sizes if size and min(size) > 0), None)
        found.center_m = _pair_of(
            file, f"{_EXTRA}/object_center_x_m", f"{_EXTRA}/object_center_y_m"
        )


def _read(opened: Opened) -> Raw:
    found = ScanInMetres()
    patterns = product = opened.file
    if not _holds_patterns(opened.file) and opened.patterns_needed:
        patterns = find_partner(opened, "patterns", _holds_patterns, ("diffraction.cxi",))
    elif not _holds_positions(opened.file):
        product = find_partner(opened, "positions", _holds_positions, ("product.cxi",))
    axes = USUAL_AXES
    with opened.collecting("xcoords"):
        if isinstance(patterns, H5File):
            axes = read_axes(patterns, found.cautions)
    _read_patterns(patterns, axes, opened, found)
    _read_product(product, axes, opened, found)
    with opened.collecting("_metadata"):
        for file in dict.fromkeys((product, patterns)):
            read_energy(file, ENTRY, opened, found)
            found.distance_m = length(file, DISTANCE) or found.distance_m
    translation = first_of(product, _TRANSLATION)
    places = {
        "diffraction": first_of(patterns, _DATA),
        "bad_pixels": f"{DETECTOR}/mask",
        "xcoords": translation,
        "ycoords": translation,
        "probeGuess": _probe_of(product),
        "objectGuess": _OBJECT,
    }
    raw = found.to_raw(opened, patterns, product, places=places, may_lack=("probeGuess",))
    if _IMAGE in product:
        raw.no_probe += f" ({_IMAGE} is not taken for one: the file does not say what it is)"
    return raw


FORMAT = Format(
    name="cxi",
    title="CXI 1.6",
    matches=_matches,
    holds_patterns=_holds_patterns,
    read=_read,
    write=write_cxi,
    units="positions in metres, photon energy in joules",
    suffix=".cxi",
)
