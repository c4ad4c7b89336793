"""Complex fields from what one thinks of: amplitude and phase."""

from typing import Any

from ptycho_physics._namespace import Array, complex_of, namespace


def from_polar(amplitude: Array, phase: Array, *, xp: Any | None = None) -> Array:
    """Return ``amplitude * exp(i phase)``.

    Parameters
    ----------
    amplitude, phase : (..., N, N) real arrays
        Of one dtype; phase in radians.

    Returns
    -------
    (..., N, N) complex array
        Differentiable with respect to both.
    """
    xp = namespace(amplitude, phase, xp=xp)
    return complex_of(amplitude * xp.cos(phase), amplitude * xp.sin(phase), xp)
