"""What may become of a changed file of a known layout: the right scan, or one clear line."""

import importlib.util
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import h5py
import layout_mutations as mutations
import numpy as np
from attrs import frozen
from ptycho_config.errors import PtychoError
from ptycho_core.preparing.preparation import prepare
from ptycho_core.preparing.recipe import recipe_from
from ptycho_data import ScanFormatWarning
from ptycho_data.raw import Names, RawScan, read_raw

_PLACE = Path(__file__).parents[2] / "packages/ptycho-data/tests/raw/layout_files.py"
_spec = importlib.util.spec_from_file_location("layout_files", _PLACE)
assert _spec is not None
assert _spec.loader is not None
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)

RIGHT, LESS, REFUSED, WRONG = "right", "other value", "refused", "WRONG"
#: What the datasets whose path matches are read for.
_READ_FOR = (
    (r"center|centre", {"centre"}),
    (r"pixel_mask|weight|fmask", {"mask"}),
    (r"dim\d|calibration", {"x", "y", "angle"}),
    (r"pixel_size|psize|pixel_um|dxd|fast_|slow_", {"pixel", "angle"}),
    (r"distance|zo$|z_m|det_z", {"distance", "angle"}),
    (r"wavelength|lambda|energy", {"energy", "angle"}),
    (r"samx|samy|sx$|sy$|/x$|/y$|points|encoder|positions|translation|pp[XY]", {"x", "y"}),
    (r"datacube.*/data$", {"frames", "x", "y"}),  # which lie on the raster of the data
    (r"frames|data|diffamp|ptychogram|dp$", {"frames"}),
)


@frozen(kw_only=True)
class Verdict:
    """What became of a mutant."""

    kind: str
    label: str
    detail: str = ""


def _fields(raw: RawScan) -> dict[str, Any]:
    mask = raw.mask
    if mask is not None:
        mask = (mask == 0) if raw.mask_is_good else (mask != 0)
    return {
        "frames": raw.frames[:],
        "x": raw.x_m,
        "y": raw.y_m,
        "energy": raw.energy_ev,
        "distance": raw.distance_m,
        "pixel": raw.detector_pixel_m,
        "angle": raw.pixel_angle,
        "mask": mask,
        "centre": raw.beam_centre,
        "particle": raw.particle,
        "domain": raw.domain,
        "layout": raw.layout,
    }


def _alike(a: Any, b: Any) -> bool:
    if a is None or b is None or isinstance(a, str):
        return bool(a is b if a is None or b is None else a == b)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-6, atol=1e-13))


def _said(writer: str) -> dict[str, Any]:
    said = {"distance": "2.2m", "detector_pixel": "75um"} if writer == "nanomax" else {}
    said |= files.SAID.get(writer, {})
    if "raster" in said:
        said["raster"] = "{}x{}".format(*said["raster"])
    return said


def _prepared(paths: list[Path], writer: str) -> str:
    """Prepare the scan as the command does; return what is wrong with it, or nothing."""
    scan = prepare(paths, recipe_from(_said(writer))).scan
    patterns = scan.diffraction[:]
    if not (np.isfinite(patterns).all() and patterns.min() >= 0):
        return "patterns that are negative or not finite"
    if not np.isfinite(scan.positions).all():
        return "positions that are not finite"
    if scan.pixel_size_m is not None and not np.isfinite(scan.pixel_size_m):
        return "an object pixel that is not finite"
    return "" if np.isfinite(scan.probe).all() else "a probe that is not finite"


@frozen(kw_only=True)
class Mutant:
    """Changed files: their writer, what was done to which dataset, and what that may mean."""

    paths: list[Path]
    writer: str
    mutation: str
    name: str
    effect: str
    seed: int

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.writer}, {self.mutation}, {self.name} ({self.effect})"


def make(seed: int, folder: Path) -> Mutant:
    """Write the mutant of a seed."""
    shutil.rmtree(folder, ignore_errors=True)
    inner = folder / "inner"
    inner.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    writer = files.WRITERS[seed % len(files.WRITERS)]
    kinds = mutations.MUTATIONS
    mutate = kinds[seed // len(files.WRITERS) % len(kinds)]
    paths, _ = writer(inner)
    there = sorted(path for path in inner.rglob("*") if h5py.is_hdf5(path))
    target = there[int(rng.integers(len(there)))]
    with h5py.File(target, "a") as file:
        name = str(rng.choice(mutations.datasets(file)))
        effect = mutate(file, name, rng)
    if mutate is mutations.virtual and target not in paths:
        effect = mutations.OTHER  # virtual datasets of virtual datasets are refused
    return Mutant(
        paths=paths,
        writer=writer.__name__,
        mutation=mutate.__name__,
        name=name,
        effect=effect,
        seed=seed,
    )


def judge(seed: int, folder: Path) -> Verdict:
    """Read the mutant of a seed, and say what became of it."""
    mutant = make(seed, folder)
    label = str(mutant)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ScanFormatWarning)
        try:
            found = _fields(read_raw(mutant.paths, Names(**files.SAID.get(mutant.writer, {}))))
            problem = _difference(found, _original(mutant.writer, folder), mutant)
            if not problem and mutant.effect == mutations.OTHER:
                problem = _prepared(mutant.paths, mutant.writer)
        except PtychoError as error:
            return _refused(error, label, mutant.effect)
        except Exception as error:  # what a user must never meet
            return Verdict(kind=WRONG, label=label, detail=f"{type(error).__name__}: {error}")
    if problem:
        return Verdict(kind=WRONG, label=label, detail=problem)
    return Verdict(kind=RIGHT if mutant.effect == mutations.SAME else LESS, label=label)


def _refused(error: PtychoError, label: str, effect: str) -> Verdict:
    message = str(error)
    if effect == mutations.SAME:
        return Verdict(kind=WRONG, label=label, detail=f"refused: {message}")
    clear = "\n" not in message and "must be" in message and len(message) < 1500
    if not (clear and message.isprintable()):
        return Verdict(kind=WRONG, label=label, detail=f"no clear line: {message!r}")
    return Verdict(kind=REFUSED, label=label, detail=message)


_ORIGINALS: dict[str, dict[str, Any]] = {}


def _original(writer: str, folder: Path) -> dict[str, Any]:
    if writer not in _ORIGINALS:
        place = folder.parent / f"original-{writer}"
        place.mkdir(exist_ok=True)
        write = next(w for w in files.WRITERS if w.__name__ == writer)
        _ORIGINALS[writer] = _fields(read_raw(write(place)[0], Names(**files.SAID.get(writer, {}))))
    return _ORIGINALS[writer]


def _difference(found: dict[str, Any], original: dict[str, Any], mutant: Mutant) -> str:
    """Say what is not as it must be."""
    free: set[str] = set()
    if mutant.effect == mutations.OTHER:
        free = next((fields for form, fields in _READ_FOR if re.search(form, mutant.name)), set())
        n, whole = len(found["frames"]), len(original["frames"])
        if n == len(found["x"]) != whole and mutant.mutation != "reshape":
            return f"{n} of {whole} frames, and as many positions"
    for field, value in found.items():
        if field not in free and not _alike(value, original[field]):
            return f"{field}: {_short(value)}, not {_short(original[field])}"
    for axis in "xy":
        if not np.isfinite(found[axis]).all():
            return f"{axis} is not finite"
    return ""


def _short(value: Any) -> str:
    array = np.asarray(value)
    return f"{array.dtype} {array.shape}" if array.ndim > 1 else str(value)[:80]
