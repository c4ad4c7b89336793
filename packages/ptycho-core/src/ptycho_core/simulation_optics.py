"""The optics of a simulation: near field, slices, and the experiment that they belong to."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from ptycho_config.errors import InvalidValueError
from ptycho_data.units import Particle, wavelength
from ptycho_physics import Slices, near_field_border

from ptycho_core.simulation_parts import DEFAULT_N, SimulationParts

__all__ = ["SimulatedOptics", "simulated_optics"]

#: Where neither options nor a file say something else: energy in eV, pixels in metres.
ENERGY_EV = 1e4
PIXEL_M = 20e-9
NEAR_PIXEL_M = 1e-6


@frozen(kw_only=True)
class SimulatedOptics:
    """Near field, slices, and the experiment of a simulation.

    Attributes
    ----------
    N : int or None
        Side of the probe, with the border; None: that of a given probe.
    near_field : float or None
        Fresnel number of a pixel.
    slices : Slices or None
        Of a thick sample.
    border : int
        Pixels at each side of the probe that the detector does not have.
    stated : mapping
        What the scan states of the experiment, by the fields of a scan.
    """

    N: int | None = None
    near_field: float | None = None
    slices: Slices | None = None
    border: int = 0
    stated: Mapping[str, Any]

    def lines(self) -> list[str]:
        """Return what there is to say about near field and slices, one line each."""
        found = []
        if self.near_field is not None:
            distance = self.stated["detector_distance_m"]
            found.append(f"near field: Fresnel number {self.near_field:g}, {distance:.4g} m away")
        if self.slices is not None:
            depths = self.slices.thickness / self.slices.depth_of_focus
            found.append(f"{self.slices.number} slices, {depths:.3g} depths of focus apart")
        return found


def simulated_optics(
    given: SimulationParts,
    *,
    N: int | None = None,
    fresnel_number: float | None = None,
    slices: int = 1,
    slice_thickness_m: float | None = None,
    pixel_size_m: float | None = None,
    energy_ev: float | None = None,
    particle: Particle | None = None,
) -> SimulatedOptics:
    """Complete the optics of a simulation, and the experiment that its scan states.

    Parameters
    ----------
    given : SimulationParts
        Parts of a file, with the experiment that it states.
    N
        Side of a pattern; by default that of a given probe, or 64.
    fresnel_number
        Of a pixel, for a detector in the near field: its distance follows.
    slices, slice_thickness_m
        Number of slices, and the distance from one to the next.
    pixel_size_m, energy_ev, particle
        Of the object and the beam; by default those of the file, or `PIXEL_M` (in the near field
        `NEAR_PIXEL_M`) and photons of `ENERGY_EV`.

    Raises
    ------
    InvalidValueError
        If a value is out of its range.
    """
    stated = dict(given.stated)
    asked = {"pixel_size_m": pixel_size_m, "photon_energy_ev": energy_ev, "particle": particle}
    stated |= {name: value for name, value in asked.items() if value is not None}
    thick = slices > 1 and slice_thickness_m is not None
    if fresnel_number is None and not thick:
        return SimulatedOptics(N=N, stated=stated)
    energy = stated.setdefault("photon_energy_ev", ENERGY_EV) or ENERGY_EV
    default = PIXEL_M if fresnel_number is None else NEAR_PIXEL_M
    pixel = stated.pop("pixel_size_m", None) or default
    length = wavelength(energy, stated.get("particle") or "photon")
    stated["photon_energy_ev"] = energy
    border = 0
    if fresnel_number is None:
        stated["pixel_size_m"] = pixel
    else:
        if given.probe is not None and N is None:
            rule = "made here in the near field, wider than the detector"
            raise InvalidValueError("probe", rule, "that of a file", "give --N and --probe")
        N = N or DEFAULT_N
        border = near_field_border(fresnel_number, N)
        # the object's pixel is the detector's: that of a far field is not stated
        stated["detector_pixel_size_m"] = pixel
        stated["detector_distance_m"] = pixel**2 / (length * fresnel_number)
        N += 2 * border
    sample = None
    if thick and slice_thickness_m is not None:
        sample = Slices(
            number=slices, thickness=slice_thickness_m, wavelength=length, pixel_size=pixel
        )
    return SimulatedOptics(
        N=N, near_field=fresnel_number, slices=sample, border=border, stated=stated
    )
