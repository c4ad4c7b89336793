"""What the scalars and the metadata of a scan state: domain, dose, experiment, place."""

import json
import math
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config.options import LARGEST_NUMBER, SMALLEST_NUMBER

from ptycho_data._domain import DOMAINS
from ptycho_data._experiment import Experiment
from ptycho_data._violations import Findings
from ptycho_data.units import PARTICLES, Particle

__all__ = ["Metadata", "Stated", "read_metadata", "read_statements", "statements"]

#: Key in ``_metadata`` to the field of a scan or a reconstruction, for positive numbers.
_NUMBERS = {
    "photon_energy_eV": "photon_energy_ev",
    "detector_distance_m": "detector_distance_m",
    "detector_pixel_size_m": "detector_pixel_size_m",
}


class Stated(Protocol):
    """A scan or a reconstruction, with what is known of its experiment."""

    @property
    def photon_energy_ev(self) -> float | None:
        """Energy in eV."""
        ...

    @property
    def detector_distance_m(self) -> float | None:
        """Distance of the detector."""
        ...

    @property
    def detector_pixel_size_m(self) -> float | None:
        """Detector pixel."""
        ...

    @property
    def origin_m(self) -> tuple[float, float] | None:
        """Where pixel (0, 0) of the object grid lies."""
        ...

    @property
    def particle(self) -> Particle:
        """What is diffracted."""
        ...


def statements(stated: Stated) -> dict[str, Any]:
    """Return what is known of the experiment, under the keys of ``_metadata``, fit for JSON."""
    known: dict[str, Any] = {key: getattr(stated, name) for key, name in _NUMBERS.items()}
    known["particle"] = None if stated.particle == "photon" else stated.particle
    known["origin_m"] = None if stated.origin_m is None else list(stated.origin_m)
    return {key: value for key, value in known.items() if value is not None}


@frozen(kw_only=True)
class Metadata:
    """Scalars and metadata of a scan; None for what is not in the file.

    Attributes
    ----------
    experiment
        Energy, distance, pixels and particle.
    origin_m
        Where pixel (0, 0) of the object grid lies.
    probe_made
        Whether the probe is an estimate of this program.
    """

    domain: str | None = None
    nphotons: float | None = None
    axes: str | None = None
    experiment: Experiment = field(factory=Experiment)
    origin_m: tuple[float, float] | None = None
    probe_made: bool = False

    @property
    def pixel_size_m(self) -> float | None:
        """Object pixel in metres."""
        return self.experiment.pixel_size_m


def read_statements(arrays: Mapping[str, NDArray[Any]], findings: Findings) -> Metadata:
    """Read domain, photons, pixel size, axis order and experiment from scalars and ``_metadata``.

    Parameters
    ----------
    arrays
        Contract key to array, layouts already checked. A key of its own wins over the JSON
        object in ``_metadata`` (where ``physics_parameters`` may hold ``nphotons``).
    findings
        Receives unknown domains and particles, impossible numbers and text that is not JSON.

    Returns
    -------
    Metadata
        The statements.
    """
    metadata = read_metadata(arrays, findings)
    physics = metadata.get("physics_parameters")
    nested = physics if isinstance(physics, dict) else {}
    domain = _text(arrays, "domain", findings) or metadata.get("domain")
    if domain is not None and domain not in DOMAINS:
        findings.add("domain", "counts or amplitude", repr(domain)[:60])
        domain = None
    nphotons = _positive(arrays, "nphotons", findings)
    if nphotons is None:
        nphotons = _number(metadata.get("nphotons", nested.get("nphotons")))
    axes = metadata.get("axes")
    return Metadata(
        domain=domain,
        nphotons=nphotons,
        axes=axes if isinstance(axes, str) else None,
        experiment=Experiment(
            pixel_size_m=_positive(arrays, "pixel_size_m", findings),
            particle=_particle(metadata, findings),
            **{name: _number(metadata.get(key)) for key, name in _NUMBERS.items()},
        ),
        origin_m=_pair(metadata.get("origin_m")),
        probe_made=metadata.get("probe_made") is True,
    )


def _particle(metadata: Mapping[str, Any], findings: Findings) -> Particle | None:
    particle: Particle | None = metadata.get("particle")
    if particle is None or particle in PARTICLES:
        return particle
    findings.add("_metadata", "for a particle, photon or electron", repr(particle)[:60])
    return None


def _finite(value: object) -> float | None:
    """Return a number of JSON that can be computed with; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if abs(number) <= LARGEST_NUMBER else None  # NaN is not


def _number(value: object) -> float | None:
    """Return a positive number of JSON; None for anything else."""
    number = _finite(value)
    return number if number is not None and number >= SMALLEST_NUMBER else None


def _pair(value: object) -> tuple[float, float] | None:
    """Return two finite numbers of JSON; None for anything else."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    x, y = (_finite(number) for number in value)
    return None if x is None or y is None else (x, y)


def _text(arrays: Mapping[str, NDArray[Any]], key: str, findings: Findings) -> str | None:
    if key not in arrays:
        return None
    try:
        value = arrays[key].reshape(()).item()
        return value.decode() if isinstance(value, bytes) else str(value)
    except ValueError:
        findings.add(key, "text", "bytes that are no text")
        return None


def _positive(arrays: Mapping[str, NDArray[Any]], key: str, findings: Findings) -> float | None:
    if key not in arrays:
        return None
    value = float(arrays[key].reshape(()))
    if not SMALLEST_NUMBER <= value <= LARGEST_NUMBER:
        rule = "a positive number"
        if math.isfinite(value) and value > 0:
            rule = f"a number from {SMALLEST_NUMBER:g} to {LARGEST_NUMBER:g}"
        findings.add(key, rule, f"{value:g}")
        return None
    return value


def read_metadata(arrays: Mapping[str, NDArray[Any]], findings: Findings) -> dict[str, Any]:
    """Read the JSON object in ``_metadata``; empty without one."""
    text = _text(arrays, "_metadata", findings)
    if text is None:
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        findings.add("_metadata", "a JSON object", "text that is no JSON object")
        return {}
    return content
