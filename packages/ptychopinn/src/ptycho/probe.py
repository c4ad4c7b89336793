"""The probe that an application sets before it loads its data."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ptycho_data import as_modes

__all__ = ["get_probe_guess", "set_probe_guess"]

_guess: NDArray[np.complex64] | None = None


def set_probe_guess(X_trn: object, probe_guess: ArrayLike) -> None:  # noqa: ARG001  old signature
    """Set the probe for data loaded afterwards.

    Parameters
    ----------
    X_trn
        Ignored; older callers pass None.
    probe_guess : (N, N) or (M, N, N) complex array
        A single probe, or its modes.

    Raises
    ------
    InvalidValueError
        If the array is not a probe.
    """
    global _guess
    as_modes(probe_guess, name="probe guess")
    _guess = np.asarray(probe_guess, dtype=np.complex64)


def get_probe_guess() -> NDArray[np.complex64] | None:
    """Return the probe that was set last, None if there is none."""
    return _guess
