"""The twin of a reconstruction whose probe was refined.

Conjugate object and probe, and turn both by 180 degrees about the centre of the scan: the patterns
are the same, since the Fourier transform of ``conj(f(-r))`` is the conjugate of that of ``f``. The
probe then has the other sign of defocus, the phase of the object is inverted, and both signs of the
positions are flipped. No pattern tells the two apart, so whoever knows neither the probe nor the
signs may get either, equally sharp.
"""

import logging

import numpy as np
from numpy.typing import NDArray

__all__ = ["beam_at_sample", "note_twin", "wavefront_curvature"]

log = logging.getLogger(__name__)

#: Phase, in radians at the radius of gyration, from which a wavefront is called curved.
CURVED = 0.2


def note_twin(probe: NDArray[np.complexfloating]) -> None:
    """Log that a reconstruction with a refined probe has a twin, and what tells the two apart."""
    beam = beam_at_sample(probe)
    log.info(
        "the probe was refined%s: a twin turned by 180 degrees, with inverted phase and the other "
        "sign of defocus, explains the patterns equally well; docs/real-data.md says how to decide",
        f" and {beam} at the sample" if beam else "",
    )


def beam_at_sample(probe: NDArray[np.complexfloating]) -> str:
    """Return ``diverges``, as downstream of a focus, ``converges``, or nothing if it is flat."""
    curvature, radius = wavefront_curvature(probe)
    phase = curvature * radius**2 / 2
    if abs(phase) < CURVED:
        return ""
    return "diverges" if phase > 0 else "converges"


def wavefront_curvature(probe: NDArray[np.complexfloating]) -> tuple[float, float]:
    """Return the mean curvature of a wavefront and the radius of gyration of its intensity.

    The mean is weighted by intensity and squared radius, so a tilt and a common phase take no part.

    Parameters
    ----------
    probe : (M, N, N) complex array
        Waves propagate as ``exp(+ikz)``: the phase of a beam that diverges grows outwards.

    Returns
    -------
    curvature : float
        Of the phase ``curvature * r**2 / 2``, in radians per square pixel.
    radius : float
        Root mean square distance from the centre of the light, in pixels.
    """
    modes = np.asarray(probe, dtype=np.complex128)
    intensity = np.sum(np.abs(modes) ** 2, axis=0)
    total = float(intensity.sum())
    flow = spread = 0.0
    for axis in (0, 1):
        coordinate = np.arange(intensity.shape[axis], dtype=np.float64)
        marginal = intensity.sum(axis=1 - axis)
        centre = float(marginal @ coordinate) / total
        spread += float(marginal @ (coordinate - centre) ** 2)
        ahead = np.moveaxis(modes, axis + 1, -1)
        # Im(conj(P) P') between neighbours: intensity times the step of the phase
        steps = np.sum((ahead[..., :-1].conj() * ahead[..., 1:]).imag, axis=(0, 1))
        flow += float(steps @ (coordinate[:-1] + 0.5 - centre))
    return flow / spread, float(np.sqrt(spread / total))
