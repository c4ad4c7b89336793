"""Results of ptypy (``.ptyr``), as ``Ptycho.save_run`` writes them: read, never written.

================================  ===============================================================
``content/obj/ID/data``           (layers, H, W); the first one is read
``content/obj/ID/_psize``         (2,) size of its pixels in metres, along y and x; or that of the
                                  probe, whose pixels are the same
``content/obj/ID/grids``          (2, layers, H, W) where its pixels are, in metres, y and then x
``content/probe/ID/data``         (modes, N, N)
``content/positions/ID``          (p, 2) in metres, y and then x, of the pixel ``[N//2, N//2]`` of
                                  each view of the object; one for each mode of the probe
================================  ===============================================================

Patterns are in a ``.ptyd`` file, which ``ptycho prepare`` reads, with the positions of a result.
"""

import numpy as np

from ptycho_data._geometry import center_m
from ptycho_data._hdf5 import H5File
from ptycho_data._violations import ScanFormatError
from ptycho_data.formats._base import Container, Format, Opened, Raw
from ptycho_data.formats._metres import ScanInMetres

__all__ = ["FORMAT"]

_OBJECTS, _PROBES, _POSITIONS = "content/obj", "content/probe", "content/positions"


def _first(file: Container, group: str, name: str = "/data") -> str | None:
    """Return the path of the first storage of a container."""
    members = file.members(group) if isinstance(file, H5File) else ()
    paths = (f"{group}/{member}{name}" for member in members)
    return next((path for path in paths if path in file), None)


def _matches(file: Container) -> bool:
    return _first(file, _OBJECTS) is not None and _first(file, _PROBES) is not None


def _holds_patterns(file: Container) -> bool:
    del file
    return False


def _read(opened: Opened) -> Raw:
    file = opened.file
    if opened.patterns_needed:
        advice = "ptycho prepare SCAN.ptyd RESULT.ptyr -o scan.npz joins them"
        got = "a result of ptypy, whose patterns are in a .ptyd file"
        raise ScanFormatError.of(file.path, "diffraction", "in the file", got, advice)
    found = ScanInMetres()
    places = {
        "probeGuess": _first(file, _PROBES) or "",
        "objectGuess": _first(file, _OBJECTS) or "",
    }
    with opened.collecting("probeGuess"):
        found.probe = file.read(places["probeGuess"])
    with opened.collecting("objectGuess"):
        found.object = file.read(places["objectGuess"])[:1]
    storage = places["objectGuess"].rpartition("/")[0]
    with opened.collecting("pixel_size_m"):
        beside = [f"{place.rpartition('/')[0]}/_psize" for place in reversed(places.values())]
        stated = next((name for name in beside if name in file), beside[0])
        height, width = file.read(stated).ravel()[:2].astype(float)
        found.pixel_m = (float(width), float(height))
    with opened.collecting("objectGuess"):
        grids = file.read(f"{storage}/grids")
        _place(found, float(grids[1].flat[0]), float(grids[0].flat[0]))
    name = _first(file, _POSITIONS, "")
    if name is not None:
        with opened.collecting("xcoords"):
            found.y_m, found.x_m = np.asarray(file.read(name), np.float64).T
        found.position_indexes = None if found.x_m is None else np.arange(found.x_m.size)
        places |= {"xcoords": name, "ycoords": name}
    return found.to_raw(opened, file, places=places)


def _place(found: ScanInMetres, x_m: float, y_m: float) -> None:
    """Set the centre of the object from where its first pixel is."""
    if found.object is None or found.probe is None or found.pixel_m is None:
        return
    N = int(found.probe.shape[-1])
    shape = found.object.shape[-2:]
    found.center_m = center_m(shape, (0.0, 0.0), N, found.pixel_m[0], (x_m, y_m))


FORMAT = Format(
    name="ptyr",
    title="results of ptypy",
    matches=_matches,
    holds_patterns=_holds_patterns,
    read=_read,
    suffix=".ptyr",
)
