"""Files as the documentation of their programs describes them, with what must be read from them.

Each function writes one file, or several, and returns the paths to read and what is expected.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from attrs import frozen

RNG = np.random.default_rng(5)
ROWS, COLUMNS, H, W = 3, 4, 16, 20
FRAMES = RNG.poisson(6, (ROWS * COLUMNS, H, W)).astype(np.uint16)
SQUARE = RNG.poisson(6, (ROWS * COLUMNS, 16, 16)).astype(np.uint16)
X = RNG.uniform(-4e-6, 4e-6, ROWS * COLUMNS)
Y = RNG.uniform(-4e-6, 4e-6, ROWS * COLUMNS)
ENERGY, DISTANCE, PIXEL = 8800.0, 2.2, 75e-6
WAVELENGTH = 1.2398419843320026e-6 / ENERGY
MASK = np.zeros((H, W), np.uint32)
MASK[3, 4] = 1


@frozen(kw_only=True)
class Expected:
    """What a file of a layout says; None for what it does not say."""

    layout: str
    frames: Any = None
    x: Any = None
    y: Any = None
    energy: float | None = ENERGY
    angle: float | None = PIXEL / DISTANCE
    bad: Any = None
    centre: tuple[float, float] | None = None
    particle: str = "photon"
    domain: str = "counts"


def _nexus(file, *, name="entry", detector="detector", wavelength=True):
    entry = file.create_group(name)
    entry.attrs["NX_class"] = "NXentry"
    entry["definition"] = "NXmx"
    group = entry.create_group(f"instrument/{detector}")
    group["pixel_mask"] = MASK
    group["distance"] = DISTANCE * 1e3
    group["distance"].attrs["units"] = "mm"
    for axis in "xy":
        group[f"{axis}_pixel_size"] = PIXEL
        group[f"{axis}_pixel_size"].attrs["units"] = "m"
    group["beam_center_x"], group["beam_center_y"] = 9.0, 7.0
    if wavelength:
        beam = entry.create_group("instrument/beam")
        beam["incident_wavelength"] = WAVELENGTH * 1e10
        beam["incident_wavelength"].attrs["units"] = "angstrom"
    return entry


def nxmx(folder: Path):
    """NXmx: data in the file, motors as NXtransformations of the sample."""
    with h5py.File(folder / "scan.nxs", "w") as file:
        entry = _nexus(file)
        entry.create_dataset("data/data", data=FRAMES, chunks=(1, H, W))
        for name, values, vector in (("samx", X, (-1, 0, 0)), ("samy", Y, (0, 1, 0))):
            axis = entry.create_dataset(f"sample/transformations/{name}", data=values * 1e3)
            axis.attrs["units"], axis.attrs["vector"] = "mm", vector
            axis.attrs["transformation_type"] = "translation"
    return [folder / "scan.nxs"], Expected(
        layout="NeXus (NXmx, NXdata)",
        frames=FRAMES,
        x=-X,  # samx moves the sample to the right, so that the beam goes to the left on it
        y=Y,  # samy moves it upwards, and rows count downwards
        bad=MASK,
        centre=(7, 9),
    )


def nxmx_virtual(folder: Path):
    """NXmx as of Diamond: a virtual dataset of files beside it, motors in the same group."""
    (folder / "raw").mkdir()
    layout = h5py.VirtualLayout(FRAMES.shape, FRAMES.dtype)
    for number, rows in enumerate((slice(0, 7), slice(7, 12))):
        name = f"raw/scan_{number:06d}.h5"
        with h5py.File(folder / name, "w") as file:
            file.create_dataset("data", data=FRAMES[rows], chunks=(1, H, W), compression="gzip")
        layout[rows] = h5py.VirtualSource(name, "data", FRAMES[rows].shape)
    with h5py.File(folder / "scan.nxs", "w") as file:
        entry = _nexus(file)
        entry.create_group("data").create_virtual_dataset("data", layout)
        for name, values in (("sx", X), ("sy", Y)):
            entry[f"data/{name}"] = values
            entry[f"data/{name}"].attrs["units"] = "m"
    return [folder / "scan.nxs"], Expected(
        layout="NeXus (NXmx, NXdata)", frames=FRAMES, x=X, y=Y, bad=MASK, centre=(7, 9)
    )


def nexus_raster(folder: Path):
    """NXdata of a raster: four axes, values set along both axes of the scan."""
    steps = np.arange(COLUMNS) * 2e-7, np.arange(ROWS) * 3e-7
    with h5py.File(folder / "raster.nxs", "w") as file:
        entry = _nexus(file, wavelength=False)
        entry["instrument/monochromator/energy"] = ENERGY / 1e3
        entry["instrument/monochromator/energy"].attrs["units"] = "keV"
        entry["data/data"] = FRAMES.reshape(ROWS, COLUMNS, H, W)
        for name, values in zip(("x", "y"), steps, strict=True):
            entry[f"data/{name}"] = values * 1e6
            entry[f"data/{name}"].attrs["units"] = "um"
    y, x = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
    return [folder / "raster.nxs"], Expected(
        layout="NeXus (NXmx, NXdata)",
        frames=FRAMES,
        x=steps[0][x],
        y=steps[1][y],
        bad=MASK,
        centre=(7, 9),
    )


def _dectris(folder: Path, stem: str):
    for number, rows in enumerate((slice(0, 5), slice(5, 12)), 1):
        with h5py.File(folder / f"{stem}_data_{number:06d}.h5", "w") as file:
            file.create_dataset("entry/data/data", data=FRAMES[rows], chunks=(1, H, W))
    with h5py.File(folder / f"{stem}_master.h5", "w") as file:
        file["entry"] = file.create_group("made")
        file.create_group("entry/data")
        for number in (1, 2):
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(
                f"{stem}_data_{number:06d}.h5", "/entry/data/data"
            )
        detector = file.create_group("entry/instrument/detector")
        detector["detectorSpecific/pixel_mask"] = MASK
        for axis in "xy":
            detector[f"{axis}_pixel_size"] = PIXEL
        detector["beam_center_x"], detector["beam_center_y"] = 9.0, 7.0
    return folder / f"{stem}_master.h5"


def dectris(folder: Path):
    """Eiger master file with its data files; motors in a text file beside it."""
    master = _dectris(folder, "series_3")
    with h5py.File(master, "a") as file:
        file["entry/instrument/detector/detector_distance"] = DISTANCE
        file["entry/instrument/detector/detectorSpecific/photon_energy"] = ENERGY
        for name, values in (("x", X), ("y", Y)):
            file[f"entry/sample/{name}"] = values * 1e6
            file[f"entry/sample/{name}"].attrs["units"] = "um"
    return [master], Expected(
        layout="Dectris master file", frames=FRAMES, x=X, y=Y, bad=MASK, centre=(7, 9)
    )


def arina(folder: Path):
    """Arina master file of an electron microscope: no wavelength, no positions."""
    return [_dectris(folder, "arina")], Expected(
        layout="Dectris master file",
        frames=FRAMES,
        energy=3e5,
        angle=1e-3,
        bad=MASK,
        centre=(7, 9),
        particle="electron",
    )


def nxcxi_ptycho(folder: Path):
    """NXcxi_ptycho: SI units, frames put together by a virtual dataset of the same file."""
    with h5py.File(folder / "scan.cxi", "w") as file:
        file["cxi_version"] = 160
        entry = file.create_group("entry_1")
        entry.attrs["NX_class"] = "NXentry"
        detector = entry.create_group("instrument_1/detector_1")
        detector["data"] = FRAMES.reshape(ROWS, COLUMNS, H, W)
        detector["distance"] = DISTANCE
        detector["x_pixel_size"] = detector["y_pixel_size"] = PIXEL
        entry["instrument_1/source_1/energy"] = 3e9 * 1.602176634e-19
        entry["instrument_1/beam_1/energy"] = ENERGY * 1.602176634e-19
        entry["instrument_1/detector_1/translation"] = np.stack([X, Y, 0 * X], axis=1)
        entry["sample_1/geometry_1/translation"] = np.stack([X, Y, 0 * X], axis=1)
        layout = h5py.VirtualLayout(FRAMES.shape, FRAMES.dtype)
        source = h5py.VirtualSource(
            ".", "entry_1/instrument_1/detector_1/data", (ROWS, COLUMNS, H, W)
        )
        for row in range(ROWS):
            layout[row * COLUMNS : (row + 1) * COLUMNS] = source[row]
        entry.create_group("data_1").create_virtual_dataset("data", layout)
    return [folder / "scan.cxi"], Expected(layout="NXcxi_ptycho", frames=FRAMES, x=X, y=Y)


def nanomax(folder: Path):
    """NanoMAX: positions in micrometres, read several times while the stage moves."""
    with h5py.File(folder / "000042.h5", "w") as file:
        file["entry/measurement/eiger1m/frames"] = FRAMES
        for name, values in (("x", X), ("y", Y)):
            readings = values[:, None] * 1e6 + np.array([-0.01, 0, 0.01])
            file[f"entry/measurement/pseudo/{name}"] = readings
        file["entry/snapshots/pre_scan/energy"] = [ENERGY]
    return [folder / "000042.h5"], Expected(layout="NanoMAX", frames=FRAMES, x=X, y=Y, angle=None)


def hxn(folder: Path):
    """NSLS-II HXN: amplitudes, points in micrometres."""
    with h5py.File(folder / "scan_1.h5", "w") as file:
        file["diffamp"] = np.sqrt(FRAMES).astype(np.float32)
        file["points"] = np.stack([X, Y]) * 1e6
        file["lambda_nm"], file["z_m"] = WAVELENGTH * 1e9, DISTANCE
        file["ccd_pixel_um"], file["angle"] = PIXEL * 1e6, 0.0
    return [folder / "scan_1.h5"], Expected(
        layout="NSLS-II HXN",
        frames=np.sqrt(FRAMES).astype(np.float32),
        x=X,
        y=Y,
        domain="amplitude",
    )


def ptylab(folder: Path):
    """PtyLab: encoder with rows first, all lengths in metres."""
    with h5py.File(folder / "scan.hdf5", "w") as file:
        file["ptychogram"] = SQUARE.astype(np.float32)
        file["encoder"] = np.stack([Y, X], axis=1)
        file["wavelength"], file["zo"] = (WAVELENGTH,), (DISTANCE,)
        file["dxd"], file["Nd"], file["binningFactor"] = (PIXEL,), (16,), 1
    return [folder / "scan.hdf5"], Expected(layout="PtyLab", frames=SQUARE, x=X, y=Y)


def ptyd(folder: Path):
    """A .ptyd file of ptypy: chunks of frames with positions (y, x), energy in keV."""
    weights = np.ones((16, 16))
    weights[3, 4] = 0
    with h5py.File(folder / "scan.ptyd", "w") as file:
        meta = file.create_group("meta")
        meta["distance"], meta["energy"] = DISTANCE, ENERGY / 1e3
        meta["psize"], meta["center"] = [PIXEL, PIXEL], [8.0, 7.0]
        meta["shape"], meta["weight2d"] = [16, 16], weights
        for number in range(12):  # chunks are numbered, not sorted as text
            chunk = file.create_group(f"chunks/{number}")
            chunk["data"] = SQUARE[number : number + 1]
            chunk["positions"] = np.stack([Y, X], axis=1)[number : number + 1]
            chunk["indices"], chunk["weights"] = [number], np.zeros(0)
    return [folder / "scan.ptyd"], Expected(
        layout="ptypy .ptyd", frames=SQUARE, x=X, y=Y, bad=weights == 0, centre=(8, 7)
    )


def fold_slice(folder: Path):
    """Patterns and positions for fold_slice, written by Python."""
    with h5py.File(folder / "data_dp.hdf5", "w") as file:
        file["dp"] = SQUARE
    with h5py.File(folder / "data_para.hdf5", "w") as file:
        file["ppX"], file["ppY"], file["lambda"] = X[None], Y[None], WAVELENGTH
        for name in ("ppX", "ppY"):
            file[name].attrs["units"] = "m"
    return [folder / "data_dp.hdf5", folder / "data_para.hdf5"], Expected(
        layout="PtychoShelves and fold_slice", frames=SQUARE, x=X, y=Y
    )


def matlab(folder: Path):
    """A .mat file, version 7.3: MATLAB exchanges rows and columns, and says who wrote it."""
    path = folder / "data.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["dp"] = FRAMES.transpose(0, 2, 1)
        file["dp"].attrs["MATLAB_class"] = np.bytes_("uint16")
        file["ppX"], file["ppY"] = X[None], Y[None]
        file["lambda"] = [[WAVELENGTH]]
        for name in ("ppX", "ppY"):
            file[name].attrs["units"] = "m"
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return [path], Expected(layout="PtychoShelves and fold_slice", frames=FRAMES, x=X, y=Y)


def _raster_positions(step):
    y, x = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
    return x * step, y * step


def py4dstem(folder: Path):
    """EMD 1.0 of py4DSTEM: a cube, and its calibration in a bundle of metadata."""
    x, y = _raster_positions(5e-10)
    with h5py.File(folder / "cube.h5", "w") as file:
        root = file.create_group("datacube_root")
        root.attrs["emd_group_type"] = "root"
        cube = root.create_group("datacube")
        cube["data"] = SQUARE.reshape(ROWS, COLUMNS, 16, 16)
        for number, values in enumerate(([0.0, 5.0], [0.0, 5.0], [0.0, 0.02], [0.0, 0.02])):
            cube[f"dim{number}"] = values
        calibration = root.create_group("metadatabundle/calibration")
        calibration["R_pixel_size"], calibration["R_pixel_units"] = 5.0, "A"
        calibration["Q_pixel_size"], calibration["Q_pixel_units"] = 0.02, "A^-1"
    return [folder / "cube.h5"], Expected(
        layout="py4DSTEM EMD",
        frames=SQUARE,
        x=x,
        y=y,
        energy=3e5,
        angle=0.02e10 * 1.96874e-12,
        particle="electron",
    )


def py4dstem_older(folder: Path):
    """py4DSTEM 0.13 and older: units are attributes of the axes."""
    x, y = _raster_positions(5e-10)
    with h5py.File(folder / "cube.h5", "w") as file:
        group = file.create_group("4DSTEM_experiment/data/datacubes/datacube_0")
        group["data"] = SQUARE.reshape(ROWS, COLUMNS, 16, 16)
        axes = (("R_x", 0.5, "nm"), ("R_y", 0.5, "nm"), ("Q_x", 1e-3, "rad"), ("Q_y", 1e-3, "rad"))
        for number, (name, step, unit) in enumerate(axes, 1):
            group[f"dim{number}"] = np.arange(group["data"].shape[number - 1]) * step
            group[f"dim{number}"].attrs["name"] = name
            group[f"dim{number}"].attrs["units"] = unit
    return [folder / "cube.h5"], Expected(
        layout="py4DSTEM EMD",
        frames=SQUARE,
        x=x,
        y=y,
        energy=3e5,
        angle=1e-3,
        particle="electron",
    )


WRITERS = (
    nxmx,
    nxmx_virtual,
    nexus_raster,
    nxcxi_ptycho,
    dectris,
    arina,
    nanomax,
    hxn,
    ptylab,
    ptyd,
    fold_slice,
    matlab,
    py4dstem,
    py4dstem_older,
)
#: What a user has to say for these.
SAID = {
    "arina": {
        "energy": "300kV",
        "particle": "electron",
        "detector_pixel": "1mrad",
        "raster": (ROWS, COLUMNS),
        "step": "0.5nm",
    },
    "fold_slice": {"distance": "2.2m", "detector_pixel": "75um"},
    "matlab": {"distance": "2.2m", "detector_pixel": "75um"},
    "py4dstem": {"energy": "300kV"},
    "py4dstem_older": {"energy": "300kV"},
}
