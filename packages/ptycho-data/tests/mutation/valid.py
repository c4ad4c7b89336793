"""Small valid scans in every format, written without the package that reads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

n, N, PIXEL = 12, 8, 2e-8
ENERGY_EV, DISTANCE, DETECTOR_PIXEL = 8000.0, 1.9, 1.5e-4

Arrays = dict[str, np.ndarray[Any, Any]]


def arrays(seed: int = 3) -> Arrays:
    """Every key of the NPZ contract, in pixels."""
    rng = np.random.default_rng(seed)

    def field(*shape: int) -> np.ndarray[Any, Any]:
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)

    return {
        "diffraction": rng.poisson(40, (n, N, N)).astype(np.uint16),
        "xcoords": rng.uniform(10, 60, n),
        "ycoords": rng.uniform(10, 50, n),
        "xcoords_start": rng.uniform(10, 60, n),
        "ycoords_start": rng.uniform(10, 50, n),
        "probeGuess": field(2, N, N),
        "objectGuess": field(70, 75),
        "Y": field(n, N, N),
        "scan_index": rng.integers(0, 3, n),
        "bad_pixels": rng.random((N, N)) < 0.05,
        "nphotons": np.array(1e5),
        "pixel_size_m": np.array(PIXEL),
        "domain": np.array("counts"),
        "_metadata": np.array('{"axes": "nyx", "domain": "counts"}'),
    }


def lcls() -> Arrays:
    """Patterns last, positions in metres."""
    content = arrays()
    return {
        "diffraction": np.moveaxis(content["diffraction"], 0, 2).astype(np.float32),
        "xcoords": content["xcoords"] * PIXEL,
        "ycoords": content["ycoords"] * PIXEL,
        "probeGuess": content["probeGuess"][0],
        "domain": np.array("counts"),
        "photon_energy_eV": np.array(ENERGY_EV),
        "detector_distance_m": np.array(DISTANCE),
        "detector_pixel_size_m": np.array(DETECTOR_PIXEL),
    }


def write_npz(folder: Path, compress: bool = False, content: Arrays | None = None) -> Path:
    save = np.savez_compressed if compress else np.savez
    save(folder / "scan.npz", **(arrays() if content is None else content))
    return folder / "scan.npz"


def write_ptychodus(folder: Path) -> Path:
    content = arrays()
    with h5py.File(folder / "diffraction.h5", "w") as file:
        # One chunk per pattern, as detectors write them.
        options = {"chunks": (1, N, N), "compression": "gzip"}
        file.create_dataset("patterns", data=content["diffraction"], **options)
        file["indexes"] = np.arange(n)
        file["bad_pixels"] = content["bad_pixels"]
        for key in ("width", "height"):
            file["patterns"].attrs[f"detector_pixel_{key}_m"] = DETECTOR_PIXEL
    with h5py.File(folder / "product.h5", "w") as file:
        file.attrs.update(
            name="scan", comments="", photon_energy_eV=ENERGY_EV, exposure_time_s=0.1,
            detector_object_distance_m=DISTANCE, probe_photon_count=1e5,
            mass_attenuation_m2_per_kg=0.0, tomography_angle_deg=0.0,
        )  # fmt: skip
        file["probe_position_indexes"] = np.arange(n)
        file["probe_position_x_m"] = (content["xcoords"] - 37) * PIXEL
        file["probe_position_y_m"] = (content["ycoords"] - 34.5) * PIXEL
        file["probe"] = content["probeGuess"][np.newaxis]
        file["object"] = content["objectGuess"][np.newaxis]
        for name in ("probe", "object"):
            file[name].attrs.update(pixel_width_m=PIXEL, pixel_height_m=PIXEL)
        file["object"].attrs.update(center_x_m=0.0, center_y_m=0.0)
        file["object_layer_spacing_m"] = np.zeros(0)
        file["loss_values"], file["loss_epochs"] = np.array([2.0, 1.0]), np.array([1, 2])
    return folder / "diffraction.h5"


def write_cxi(folder: Path) -> Path:
    content = arrays()
    with h5py.File(folder / "scan.cxi", "w") as file:
        file["cxi_version"] = 160
        entry = file.create_group("entry_1")
        entry["data_1/data"] = content["diffraction"]  # in one piece: can be mapped
        detector = entry.create_group("instrument_1/detector_1")
        detector["data"] = h5py.SoftLink("/entry_1/data_1/data")
        detector["mask"] = content["bad_pixels"].astype(np.uint32)
        detector["distance"] = DISTANCE
        detector["x_pixel_size"] = detector["y_pixel_size"] = DETECTOR_PIXEL
        entry["instrument_1/source_1/energy"] = ENERGY_EV * 1.602176634e-19
        entry["instrument_1/source_1/illumination"] = content["probeGuess"]
        translation = np.stack([content["xcoords"], content["ycoords"], 0 * content["xcoords"]], 1)
        entry["sample_1/geometry_1/translation"] = translation * PIXEL
    return folder / "scan.cxi"


def write_fold_slice(folder: Path) -> Path:
    content = arrays()
    with h5py.File(folder / "scan_dp.hdf5", "w") as file:
        options = {"chunks": (5, N, N), "shuffle": True, "compression": "gzip", "fletcher32": True}
        file.create_dataset("dp", data=content["diffraction"].astype(np.float32), **options)
    with h5py.File(folder / "scan_para.hdf5", "w") as file:
        file["ppX"] = (content["xcoords"] * PIXEL)[:, np.newaxis]
        file["ppY"] = (content["ycoords"] * PIXEL)[:, np.newaxis]
        file["dx"], file["lambda"] = PIXEL, 1.2398e-6 / ENERGY_EV
    return folder / "scan_dp.hdf5"


#: Writes a valid scan into an empty folder and returns the file to load.
FORMATS: dict[str, Callable[[Path], Path]] = {
    "npz": write_npz,
    "npz, compressed": lambda folder: write_npz(folder, compress=True),
    "lcls": lambda folder: write_npz(folder, content=lcls()),
    "ptychodus": write_ptychodus,
    "cxi": write_cxi,
    "fold_slice": write_fold_slice,
}
