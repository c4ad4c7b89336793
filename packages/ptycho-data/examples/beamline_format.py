"""A file format outside ptycho-data: HDF5 with frames, and positions in micrometres.

A package that holds this file registers the format in its ``pyproject.toml``::

    [project.entry-points."ptycho.formats"]
    beamline = "beamline_format:FORMAT"

After its installation, `ptycho_data.load_scan` and every command read such files.
"""

from ptycho_data.formats import Container, Format, Opened, Raw, ScanInMetres, has_all

FRAMES, X, Y, ENERGY = "scan/frames", "scan/x_um", "scan/y_um", "scan/energy_keV"


def matches(file: Container) -> bool:
    """Tell whether an open NPZ or HDF5 file is of this format."""
    return has_all(file, (FRAMES, X, Y))


def read(opened: Opened) -> Raw:
    """Describe the scan; ptycho-data checks it, and reads the patterns only when needed."""
    file = opened.file
    scan = ScanInMetres(
        stack=file.stack(FRAMES),
        x_m=file.read(X) * 1e-6,
        y_m=file.read(Y) * 1e-6,
        energy_ev=(file.number(ENERGY) or 0.0) * 1e3 or None,
        distance_m=file.number("scan/distance_m"),
        detector_pixel_m=(75e-6, 75e-6),
    )
    places = {"diffraction": FRAMES, "xcoords": X, "ycoords": Y}
    return scan.to_raw(opened, file, places=places, may_lack=("probeGuess",))


FORMAT = Format(
    name="beamline",
    title="frames of our beamline",
    matches=matches,
    holds_patterns=matches,
    read=read,
    units="positions in micrometres, photon energy in keV",
)
