"""Where a first probe comes from, as one text: ``auto``, a file, or optics with their lengths.

    auto
    probe.npy            results/product.h5            probe.mat::/probe
    file:probe.npy,pixel=12nm,propagate=50um
    zone-plate:diameter=180um,outer-zone=50nm,stop=60um,defocus=0.4mm
    kb:aperture-x=300um,aperture-y=200um,focal-x=0.1m,focal-y=0.2m,defocus=0.5mm
    pinhole:diameter=2um,distance=3mm
    electron:angle=1.03mrad,defocus=-13.5um

Energy and object pixel are those of the scan.
"""

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan, load_stored_probe
from ptycho_data.units import metres_per, wavelength
from ptycho_physics import fresnel_propagate
from ptycho_physics.optics import electron_probe, mirror_probe, pinhole_probe
from ptycho_physics.probe_sampling import resample_probe
from ptycho_physics.probes import zone_plate_probe

from ptycho_core.cautions import Caution, report
from ptycho_core.first_probe.search import FirstProbe, find_first_probe, judged_probe

__all__ = [
    "KINDS",
    "ProbeSource",
    "check_first_probe",
    "first_probe_of",
    "probe_source",
    "with_first_probe",
]

log = logging.getLogger(__name__)

Probe = NDArray[np.complex64]
Values = Mapping[str, float]

#: Radians in a unit of angle.
_ANGLES = {"rad": 1.0, "mrad": 1e-3, "urad": 1e-6, "deg": math.pi / 180, "": 1.0}
#: How to say what a scan does not; `ptycho prepare` has its own names of settings.
_GIVEN = {
    "photon_energy_ev": "give --photon-energy-ev",
    "pixel_size_m": "give --pixel-size-m; ptycho prepare knows it where detector pixels are square",
}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*")


@frozen(kw_only=True)
class Kind:
    """A kind of optics: its settings, and the function that makes the probe.

    Attributes
    ----------
    required, optional : tuple of str
        Names of settings: lengths, angles if they contain ``angle``.
    make
        Takes N, the lengths that the scan states, and the settings.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    make: Callable[[int, dict[str, float], Values], Probe]


def _zone_plate(N: int, scale: dict[str, float], given: Values) -> Probe:
    stop = given.get("stop", 0.0)
    if stop and "diameter" not in given:
        raise InvalidValueError("zone-plate", "given with a diameter if it has a stop", "none")
    return zone_plate_probe(
        N,
        **scale,
        outer_zone_width_m=given["outer-zone"],
        defocus_m=given["defocus"],
        central_stop=stop / given["diameter"] if stop else 0.0,
    )


def _mirrors(N: int, scale: dict[str, float], given: Values) -> Probe:
    return mirror_probe(
        N,
        **scale,
        aperture_m=(given["aperture-x"], given["aperture-y"]),
        focal_length_m=(given["focal-x"], given["focal-y"]),
        defocus_m=given["defocus"],
        astigmatism_m=given.get("astigmatism", 0.0),
    )


def _pinhole(N: int, scale: dict[str, float], given: Values) -> Probe:
    distance = given.get("distance", 0.0)
    return pinhole_probe(N, **scale, diameter_m=given["diameter"], distance_m=distance)


def _electron(N: int, scale: dict[str, float], given: Values) -> Probe:
    return electron_probe(
        N,
        **scale,
        semi_angle_rad=given["angle"],
        defocus_m=given["defocus"],
        astigmatism_m=given.get("a1", 0.0),
        astigmatism_angle_rad=given.get("a1-angle", 0.0),
        spherical_m=given.get("c3", 0.0),
    )


#: Kinds of optics by their name in the text.
KINDS: dict[str, Kind] = {
    "zone-plate": Kind(
        required=("outer-zone", "defocus"), optional=("diameter", "stop"), make=_zone_plate
    ),
    "kb": Kind(
        required=("aperture-x", "aperture-y", "focal-x", "focal-y", "defocus"),
        optional=("astigmatism",),
        make=_mirrors,
    ),
    "pinhole": Kind(required=("diameter",), optional=("distance",), make=_pinhole),
    "electron": Kind(
        required=("angle", "defocus"), optional=("a1", "a1-angle", "c3"), make=_electron
    ),
}


@frozen(kw_only=True)
class ProbeSource:
    """Where a first probe comes from.

    Attributes
    ----------
    text : str
        As it was given.
    kind : str
        ``auto``, ``file`` or a name of `KINDS`.
    file : str
        The file, with ``::NAME`` of an array.
    values : dict
        Settings, lengths in metres and angles in radians.
    """

    text: str
    kind: str
    file: str = ""
    values: dict[str, float]

    @property
    def path(self) -> Path | None:
        """The file without the name of an array; None for other kinds."""
        return Path(self.file.partition("::")[0]) if self.file else None

    def make(self, scan: Scan, size: int | None = None) -> Probe:
        """Return the probe (M, N, N) for a scan, or of another size; not for ``auto``.

        Raises
        ------
        InvalidValueError
            The scan does not state what is needed, or the probe does not fit.
        ScanFormatError
            There is no probe in the file.
        """
        if self.kind == "file":
            return self._stored(scan, size or scan.N)
        scale = {
            "wavelength_m": _wavelength(scan, self.text),
            "pixel_size_m": _known(scan.pixel_size_m, "pixel_size_m", self.text),
        }
        return KINDS[self.kind].make(size or scan.N, scale, self.values)

    def _stored(self, scan: Scan, N: int) -> Probe:
        stored = load_stored_probe(self.file)
        modes, K = stored.modes, stored.modes.shape[-1]
        pixel = self.values.get("pixel", stored.pixel_size_m)
        scale = 1.0
        if pixel is not None and scan.pixel_size_m is not None:
            scale = scan.pixel_size_m / pixel
        elif N != K:
            missing = "of the probe" if pixel is None else "of the scan"
            rule = f"of {N} x {N} pixels like the patterns, or with known pixels"
            got = f"{K} x {K}, and the pixel {missing} is unknown"
            advice = "say it: --first-probe file:FILE,pixel=12nm"
            raise InvalidValueError(f"probe of {self.file}", rule, got, advice)
        if N != K or not math.isclose(scale, 1.0, rel_tol=1e-3):
            modes = resample_probe(modes, N, scale=scale)
        if "propagate" in self.values:
            modes = fresnel_propagate(
                modes,
                self.values["propagate"],
                wavelength=_wavelength(scan, self.text),
                pixel_size=_known(scan.pixel_size_m, "pixel_size_m", self.text),
            )
        return np.asarray(modes, dtype=np.complex64)


def probe_source(text: str) -> ProbeSource:
    """Read the text that says where a first probe comes from.

    Raises
    ------
    InvalidValueError
        If it names no kind, lacks a setting, or has an unknown one or a wrong unit.
    """
    kind, _, rest = text.partition(":")
    parts = [part for part in rest.split(",") if part.strip()]
    if text == "auto":
        return ProbeSource(text=text, kind="auto", values={})
    if kind in KINDS:
        wanted = KINDS[kind]
        values = _settings(kind, parts, wanted.required, wanted.optional)
        return ProbeSource(text=text, kind=kind, values=values)
    if kind == "file" and parts:
        values = _settings(kind, parts[1:], (), ("pixel", "propagate"))
        return ProbeSource(text=text, kind="file", file=parts[0], values=values)
    if not text.strip() or ("=" in text and not Path(text).exists()):
        known = ", ".join(f"{name}:..." for name in ("file", *KINDS))
        raise InvalidValueError("first probe", f"auto, a file or one of {known}", repr(text))
    return ProbeSource(text=text, kind="file", file=text, values={})


def _settings(
    kind: str, parts: Sequence[str], required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, float]:
    """Return the settings of a kind in metres and radians."""
    values: dict[str, float] = {}
    for part in parts:
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in (*required, *optional) or name in values:
            rule = f"one of {', '.join((*required, *optional))}, once and with =VALUE"
            raise InvalidValueError(f"setting of {kind}", rule, repr(part))
        values[name] = _quantity(name, value)
    missing = [name for name in required if name not in values]
    if missing:
        rule = f"given with {', '.join(f'{name}=VALUE' for name in missing)}"
        raise InvalidValueError(kind, rule, ", ".join(parts) or "nothing")
    return values


def first_probe_of(scan: Scan, text: str) -> FirstProbe:
    """Return the first probe of a scan from where a text says, refined and judged on a part of it.

    Parameters
    ----------
    scan : Scan
    text
        ``auto``, a file or optics: see `ptycho_core.first_probe.sources`.

    Raises
    ------
    InvalidValueError
        The text or what it says does not fit.
    ScanFormatError
        There is no probe in the file.
    """
    source = probe_source(text)
    if source.kind == "auto":
        return find_first_probe(scan)
    found = judged_probe(scan, source.make(scan), source=text)
    if not found.verdict.doubtful or not source.values.get("defocus"):
        return found
    values = {**source.values, "defocus": -source.values["defocus"]}
    other = judged_probe(scan, evolve(source, values=values).make(scan))
    if other.verdict.r_factor > 0.9 * found.verdict.r_factor:
        return found
    better = (
        f"the other sign of defocus explains them better: R-factor {other.verdict.r_factor:.4f}"
    )
    return evolve(found, undecided=[better])


def check_first_probe(text: str | None, probe_file: object) -> None:
    """Refuse a text that says nothing known, or beside a probe that it would replace.

    Parameters
    ----------
    text
        As for `first_probe_of`; None asks for no first probe.
    probe_file
        Probe that was given otherwise, or None.

    Raises
    ------
    InvalidValueError
        The text does not fit.
    """
    if text is None:
        return
    if probe_file is not None:
        raise InvalidValueError("first_probe", "given without probe_file, which it replaces", text)
    probe_source(text)


def with_first_probe(scan: Scan, text: str) -> tuple[Scan, FirstProbe, list[Caution]]:
    """Return a scan with its first probe, what was found, and the cautions that were logged.

    Parameters
    ----------
    scan, text
        As for `first_probe_of`, which has the errors.
    """
    found = first_probe_of(scan, text)
    log.info("%s", found.describe())
    cautions = report(found.cautions, f"{scan.label}: ")
    return evolve(scan, probe=found.probe, probe_made=False), found, cautions


def _wavelength(scan: Scan, text: str) -> float:
    return wavelength(_known(scan.photon_energy_ev, "photon_energy_ev", text), scan.particle)


def _known(value: float | None, name: str, text: str) -> float:
    if value is None:
        rule = f"known to make a probe of {text.partition(':')[0]}"
        raise InvalidValueError(name, rule, "nothing in the scan", _GIVEN[name])
    return value


def _quantity(name: str, text: str) -> float:
    """Return a length in metres or an angle in radians."""
    found = _QUANTITY.fullmatch(text)
    angle = "angle" in name
    rule = "a number with a unit of " + (
        "angle: mrad, rad or deg" if angle else "length: nm, um, m"
    )
    if found is None or not math.isfinite(float(found[1])) or (not angle and not found[2]):
        raise InvalidValueError(name, rule, repr(text))
    if not angle:
        return float(found[1]) * metres_per(found[2])
    if found[2] not in _ANGLES:
        raise InvalidValueError(name, rule, repr(text))
    return float(found[1]) * _ANGLES[found[2]]
