"""Layouts of the files that instruments and other programs write: which dataset is what.

A layout is data: how a file of it is recognised, and for each quantity the names under which it
may be, the unit where files state none, and the indices of a part. ``*`` stands for any one group.
"""

from collections.abc import Mapping

from attrs import field, frozen

from ptycho_data._domain import Domain
from ptycho_data.raw._image_files import FRAMES
from ptycho_data.units import Particle

__all__ = ["FIELDS", "LAYOUTS", "At", "Layout"]

FIELDS = (
    "patterns",
    "x",
    "y",
    "mask",
    "energy",
    "wavelength",
    "distance",
    "pixel_x",
    "pixel_y",
    "centre_x",
    "centre_y",
    "step_x",
    "step_y",
    "angle",
)
"""Quantities that a layout may name."""


@frozen
class At:
    """Where a quantity may be.

    Attributes
    ----------
    path
        Path of the dataset.
    unit
        Unit of a dataset that states none; None where it has no unit, or must state it.
    pick
        Part of the dataset, as in Python: ``[:, 1]``.
    good
        Of a mask: whether pixels that are not zero are the good ones; None where it must be judged.
    """

    path: str
    unit: str | None = None
    pick: tuple[int | slice, ...] = ()
    good: bool | None = None


@frozen(kw_only=True)
class Layout:
    """One layout of files.

    Attributes
    ----------
    name, title
        For recipes, and in words; empty where the format of the files has a title.
    marks
        Paths that all files of this layout have; without any, the fields decide.
    where
        Field to the places where it may be, the first that is there wins.
    domain
        What the patterns are, if it is known.
    particle
        What is diffracted, if it is known.
    joined
        Whether patterns are in several datasets, one after the other.
    turned
        Whether rows and columns of the patterns are exchanged, as MATLAB writes them.
    images
        Whether it is that of files with frames alone.
    note
        What is worth knowing about files of this layout.
    """

    name: str
    title: str
    marks: tuple[str, ...] = ()
    where: Mapping[str, tuple[At, ...]] = field(factory=dict)
    domain: Domain | None = None
    particle: Particle | None = None
    joined: bool = False
    turned: bool = False
    images: bool = False
    note: str = ""


_FIRST, _SECOND = (slice(None), 0), (slice(None), 1)

#: What NeXus files state of detector and beam, under the names of its definitions.
_NEXUS = {
    "mask": (
        At("*/instrument*/*/pixel_mask"),
        At("*/instrument*/*/detectorSpecific/pixel_mask"),
        At("*/instrument*/*/mask"),
    ),
    "energy": (
        At("*/instrument*/beam*/incident_energy", "eV"),
        At("*/instrument*/beam*/energy", "J"),
        At("*/sample*/beam*/incident_energy", "eV"),
        At("*/instrument*/*/detectorSpecific/photon_energy", "eV"),
        At("*/instrument*/monochromator*/energy", "eV"),
        At("*/instrument*/*/photon_energy", "eV"),
    ),
    "wavelength": (
        At("*/instrument*/beam*/incident_wavelength", "angstrom"),
        At("*/sample*/beam*/incident_wavelength", "angstrom"),
        At("*/instrument*/monochromator*/wavelength", "angstrom"),
    ),
    "distance": (
        At("*/instrument*/*/detector_distance", "m"),
        At("*/instrument*/*/distance", "m"),
    ),
    "pixel_x": (
        At("*/instrument*/*/x_pixel_size", "m"),
        At("*/instrument*/*/module*/fast_pixel_direction", "m"),
    ),
    "pixel_y": (
        At("*/instrument*/*/y_pixel_size", "m"),
        At("*/instrument*/*/module*/slow_pixel_direction", "m"),
    ),
    "centre_x": (At("*/instrument*/*/beam_center_x"),),
    "centre_y": (At("*/instrument*/*/beam_center_y"),),
}

_PAIRS = (
    ("samx", "samy"),
    ("sx", "sy"),
    ("x", "y"),
    ("sample_x", "sample_y"),
    ("SampleX_value_set", "SampleY_value_set"),
    ("SampleX_value", "SampleY_value"),
    ("SampleX", "SampleY"),
    ("lab_y", "lab_x"),
    ("stage_x", "stage_y"),
    ("piezo_x", "piezo_y"),
    ("pos_x", "pos_y"),
    ("x_position", "y_position"),
    ("x_translation", "y_translation"),
)
_PLACES_OF_MOTORS = (
    "*/data*",
    "*/sample*/transformations*",
    "*/sample*/positioner*",
    "*/sample*",
    "*/instrument*/positioners*",
    "*/instrument*/*",
    "*/measurement*",
    "*",
)
_MOTORS = {
    axis: tuple(At(f"{group}/{pair[index]}") for group in _PLACES_OF_MOTORS for pair in _PAIRS)
    for index, axis in enumerate(("x", "y"))
}

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        name="nxcxi-ptycho",
        title="NXcxi_ptycho",
        marks=("entry_1/instrument_1/detector_1", "entry_1/*/*/translation|entry_1/*/translation"),
        where=_NEXUS
        | {
            "patterns": (
                At("entry_1/data_1/data"),
                At("entry_1/instrument_1/detector_1/data"),
            ),
            "x": (
                At("entry_1/sample_1/geometry_1/translation", "m", _FIRST),
                At("entry_1/data_1/translation", "m", _FIRST),
                At("entry_1/instrument_1/detector_1/translation", "m", _FIRST),
            ),
            "y": (
                At("entry_1/sample_1/geometry_1/translation", "m", _SECOND),
                At("entry_1/data_1/translation", "m", _SECOND),
                At("entry_1/instrument_1/detector_1/translation", "m", _SECOND),
            ),
            "energy": (
                At("entry_1/instrument_1/beam_1/energy", "J"),
                At("entry_1/instrument_1/source_1/energy", "J"),
            ),
        },
        note="CXI 1.6 with classes of NeXus",
    ),
    Layout(
        name="nanomax",
        title="NanoMAX",
        marks=("entry/measurement/*/frames",),
        where={
            "patterns": (At("entry/measurement/*/frames"),),
            "x": (
                At("entry/measurement/pseudo/x", "um"),
                At("entry/measurement/pseudo/analog_x", "um"),
            ),
            "y": (
                At("entry/measurement/pseudo/y", "um"),
                At("entry/measurement/pseudo/analog_y", "um"),
            ),
            "energy": (
                At("entry/snapshots/pre_scan/energy", "eV"),
                At("entry/snapshots/pre_scan/energy_raw", "eV"),
                At("entry/snapshot/energy", "eV"),
            ),
        },
        note="distance and detector pixel are not in these files",
    ),
    Layout(
        name="hxn",
        title="NSLS-II HXN",
        marks=("diffamp", "points"),
        where={
            "patterns": (At("diffamp"),),
            "x": (At("points", "um", (0,)),),
            "y": (At("points", "um", (1,)),),
            "wavelength": (At("lambda_nm", "nm"),),
            "distance": (At("z_m", "m"),),
            "pixel_x": (At("ccd_pixel_um", "um"),),
        },
        domain="amplitude",
    ),
    Layout(
        name="ptylab",
        title="PtyLab",
        marks=("ptychogram", "encoder"),
        where={
            "patterns": (At("ptychogram"),),
            "x": (At("encoder", "m", _SECOND),),
            "y": (At("encoder", "m", _FIRST),),
            "wavelength": (At("wavelength", "m"),),
            "distance": (At("zo", "m"),),
            "pixel_x": (At("dxd", "m"),),
        },
        domain="counts",
    ),
    Layout(
        name="ptyd",
        title="ptypy .ptyd",
        marks=("chunks/*/data", "chunks/*/positions"),
        where={
            "patterns": (At("chunks/*/data"),),
            # a result beside the patterns has better positions
            "x": (
                At("content/positions/*", "m", _SECOND),
                At("chunks/*/positions", "m", _SECOND),
            ),
            "y": (
                At("content/positions/*", "m", _FIRST),
                At("chunks/*/positions", "m", _FIRST),
            ),
            "mask": (
                At("meta/weight2d", good=True),
                At("info/weight2d", good=True),
                At("chunks/0/weights", good=True),
            ),
            "energy": (At("meta/energy", "keV"), At("info/energy", "keV")),
            "distance": (At("meta/distance", "m"), At("info/distance", "m")),
            "pixel_x": (At("meta/psize", "m"), At("info/psize", "m")),
            "centre_x": (At("meta/center", None, (1,)),),
            "centre_y": (At("meta/center", None, (0,)),),
        },
        domain="counts",
        joined=True,
    ),
    Layout(
        name="fold-slice",
        title="PtychoShelves and fold_slice",
        marks=("dp",),
        where={
            "patterns": (At("dp"),),
            "x": (
                At("ppX"),
                At("outputs/probe_positions", None, (0,)),
                At("probe_positions_0", None, (0,)),
            ),
            "y": (
                At("ppY"),
                At("outputs/probe_positions", None, (1,)),
                At("probe_positions_0", None, (1,)),
            ),
            "mask": (At("fmask", good=True),),
            "wavelength": (At("lambda", "m"), At("p/lambda", "m")),
            "distance": (At("p/z", "m"),),
            "pixel_x": (At("p/ds", "m"),),
        },
        domain="counts",
        turned=True,
        note="patterns of MATLAB are stored with rows and columns exchanged",
    ),
    Layout(
        name="py4dstem",
        title="py4DSTEM EMD",
        marks=(
            "*/*/dim0|*/metadatabundle/calibration/Q_pixel_size"
            "|4DSTEM_experiment/data/datacubes/*/data|4DSTEM_experiment/data/*/*/dim1",
        ),
        where={
            "patterns": (
                At("datacube_root/datacube/data"),
                At("4DSTEM_experiment/data/datacubes/*/data"),
                At("4DSTEM_experiment/datacube/*/data"),
                At("*/datacube*/data"),
                At("*/*/data"),
            ),
            "step_y": (
                At("*/metadatabundle/calibration/R_pixel_size"),
                At("*/datacube*/dim0"),
                At("4DSTEM_experiment/data/datacubes/*/dim1"),
            ),
            "step_x": (
                At("*/metadatabundle/calibration/R_pixel_size"),
                At("*/datacube*/dim1"),
                At("4DSTEM_experiment/data/datacubes/*/dim2"),
            ),
            "angle": (
                At("*/metadatabundle/calibration/Q_pixel_size"),
                At("*/datacube*/dim2"),
                At("4DSTEM_experiment/data/datacubes/*/dim3"),
            ),
        },
        particle="electron",
        note="positions lie on the raster of the patterns",
    ),
    Layout(
        name="dectris",
        title="Dectris master file",
        marks=("*/data/data_00*",),
        where=_NEXUS | _MOTORS | {"patterns": (At("*/data/data_00*"),)},
        joined=True,
        note="Eiger, Pilatus, Arina: data files in the same folder",
    ),
    Layout(
        name="frames",
        title="",
        images=True,
        where={
            name: (At(FRAMES if name == "patterns" else name),)
            for name in FIELDS
            if name not in ("x", "y", "mask")
        },
        note="TIFF, EDF, CBF and other files of frames; positions are elsewhere",
    ),
    Layout(
        name="nexus",
        title="NeXus (NXmx, NXdata)",
        where=_NEXUS
        | _MOTORS
        | {
            "patterns": (
                At("*/data/data"),
                At("*/data*/data"),
                At("*/instrument*/detector*/data"),
                At("*/instrument*/*/data"),
                At("*/*/data"),
            )
        },
    ),
)
"""All layouts, the more particular ones first."""
