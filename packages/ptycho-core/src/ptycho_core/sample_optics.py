"""Near field and slices of a run of the solver, from its settings and what the scan knows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe
from ptycho_data import Reconstruction, Scan
from ptycho_data.units import wavelength
from ptycho_physics import (
    NearFieldGeometry,
    Slices,
    extract_patches,
    near_field_border,
    propagated_intensity,
    propagator_of,
)

__all__ = ["GEOMETRY", "THIN", "SampleOptics", "check_optics"]

#: Value of ``near_field`` that takes the Fresnel number from the scan.
GEOMETRY = "geometry"
#: Settings of a run that are no arguments of `ptycho_physics.solve`, or other ones.
_SETTINGS = ("near_field", "source_distance_m", "slices", "slice_thickness_m", "slice_tilt_rad")


@frozen(kw_only=True)
class SampleOptics:
    """How light gets from the probe to the detector, if not far behind a thin sample.

    Attributes
    ----------
    near_field : float or None
        Fresnel number of a pixel, for a detector in the near field.
    slices : Slices or None
        Of a thick sample, in metres.
    pixel_size_m : float or None
        Pixel of the object in the near field, if it is known.
    """

    near_field: float | None = None
    slices: Slices | None = None
    pixel_size_m: float | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any], scan: Scan) -> "SampleOptics":
        """Take it from the settings of a run, see `solve_scan`, and from the scan.

        Raises
        ------
        InvalidValueError
            If settings contradict each other, or the scan does not know what they need.
        """
        check_optics(settings)
        near, pixel = settings.get("near_field"), scan.pixel_size_m
        if near is None and not settings.get("slices"):
            return cls()
        if near == GEOMETRY:
            geometry = _geometry(scan, settings.get("source_distance_m"))
            near, pixel = geometry.fresnel_number, geometry.pixel_size_m
        elif near is not None:
            pixel = None  # that of the scan is the one of a far field
        return cls(near_field=near, slices=_slices(settings, scan, pixel), pixel_size_m=pixel)

    def arguments(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings of a run as arguments of `ptycho_physics.solve`."""
        mine = {"near_field": self.near_field, "slices": self.slices}
        found = {name: value for name, value in settings.items() if name not in _SETTINGS}
        found |= {name: value for name, value in mine.items() if value is not None}
        if found.get("slice_coupling") is None:
            found.pop("slice_coupling", None)
        return found

    def placed(self, rec: Reconstruction) -> Reconstruction:
        """Return a reconstruction with the object's pixel of the near field."""
        if self.near_field is None:
            return rec
        return evolve(rec, pixel_size_m=self.pixel_size_m)

    def measured(self, scan: Scan) -> Scan:
        """Return a scan with the object's pixel of the near field, without far-field geometry."""
        if self.near_field is None:
            return scan
        return evolve(scan, pixel_size_m=self.pixel_size_m, detector_distance_m=None)

    def judged(self, scan: Scan) -> Scan:
        """Return a scan without the rim of near-field patterns, where other light arrives."""
        rim = near_field_border(self.near_field, scan.N)
        if not rim:
            return scan
        bad = np.ones((scan.N, scan.N), bool)
        bad[rim:-rim, rim:-rim] = False
        return evolve(scan, bad_pixels=bad if scan.bad_pixels is None else bad | scan.bad_pixels)

    def rates(
        self,
        rec: Reconstruction,
        rows: NDArray[np.int64],
        probe: NDArray[np.complex64],
        sampling: int = 1,
    ) -> NDArray[Any]:
        """Return the rates (k, N, N) of patterns of one probe, or one each, up to a factor.

        ``sampling`` is that of a coarse detector: see `Fitted`.
        """
        near, slices = self.near_field, self.slices
        optics = propagator_of(rec.N, probe, np, near_field=near, slices=slices, sampling=sampling)
        levels = rec.object[None] if rec.slices is None else rec.slices
        patches = [extract_patches(level, rec.positions[rows], rec.N) for level in levels]
        several = patches[0] if self.slices is None else np.stack(patches, axis=1)
        return np.asarray(propagated_intensity(several, probe, optics, sampling=sampling))


THIN = SampleOptics()
"""A thin sample, and a detector far away."""


def check_optics(settings: Mapping[str, Any], *, auto: bool = False) -> None:
    """Refuse settings of near field and slices that contradict each other, or ``auto``.

    Raises
    ------
    InvalidValueError
        If they do.
    """
    near, slices = settings.get("near_field"), settings.get("slices")
    if isinstance(near, str) and near != GEOMETRY:
        raise InvalidValueError("near_field", f"a Fresnel number or {GEOMETRY}", describe(near))
    if settings.get("source_distance_m") is not None and near != GEOMETRY:
        rule = f"given with near_field={GEOMETRY}, whose magnification it is"
        raise InvalidValueError("source_distance_m", rule, "without")
    if auto and (near is not None or slices):
        rule = "left out with near field or slices: it chooses for thin samples far away"
        raise InvalidValueError("auto", rule, "True")
    if slices and settings.get("slice_thickness_m") is None:
        rule = "metres > 0, the distance from slice to slice"
        raise InvalidValueError("slice_thickness_m", rule, "none")
    if not slices:
        for name in ("slice_thickness_m", "slice_tilt_rad", "slice_coupling"):
            if settings.get(name):
                raise InvalidValueError(name, "given with the number of slices", "without")
    elif any(
        settings.get(name) for name in ("refine_positions", "refine_affine", "refine_backlash")
    ):
        advice = "refine positions with a thin object, and start from them (--from)"
        raise InvalidValueError("refine_positions", "left out with slices", "True", advice)


def _geometry(scan: Scan, source_distance_m: float | None) -> NearFieldGeometry:
    return NearFieldGeometry(
        wavelength_m=_wavelength(scan, "near_field"),
        detector_pixel_m=_known(scan, "detector_pixel_size_m", "near_field"),
        distance_m=_known(scan, "detector_distance_m", "near_field"),
        source_distance_m=source_distance_m,
    )


def _slices(settings: Mapping[str, Any], scan: Scan, pixel: float | None) -> Slices | None:
    number = settings.get("slices")
    if not number:
        return None
    if pixel is None:
        pixel = _known(scan, "pixel_size_m", "slices")
    return Slices(
        number=number,
        thickness=settings["slice_thickness_m"],
        wavelength=_wavelength(scan, "slices"),
        pixel_size=pixel,
        tilt=tuple(settings.get("slice_tilt_rad") or (0.0, 0.0)),
    )


def _wavelength(scan: Scan, what: str) -> float:
    return wavelength(_known(scan, "photon_energy_ev", what), scan.particle)


def _known(scan: Scan, name: str, what: str) -> float:
    value: float | None = getattr(scan, name)
    if value is None:
        option = "--" + name.replace("_", "-")
        advice = f"state it with {option}" + (
            ", or give the Fresnel number of a pixel" if what == "near_field" else ""
        )
        raise InvalidValueError(name, f"known for {what}", "nothing in the scan", advice)
    return value
