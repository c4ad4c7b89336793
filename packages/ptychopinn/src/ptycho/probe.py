"""The probe that an application announces before it hands the data over."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["get_probe_guess", "set_probe_guess"]

_guess: NDArray[np.complex64] | None = None


def set_probe_guess(X_trn: object, probe_guess: ArrayLike) -> None:  # noqa: ARG001  old signature
    """Announce the probe that data are loaded with from now on.

    Parameters
    ----------
    X_trn
        Of no use: the probe is given. Older callers pass None.
    probe_guess : (N, N) or (M, N, N) complex array
        A single probe, or its modes.

    Raises
    ------
    ValueError
        If the array is no probe.
    """
    global _guess
    probe = np.asarray(probe_guess)
    if probe.ndim not in (2, 3) or probe.shape[-1] != probe.shape[-2] or probe.dtype.kind != "c":
        found = f"{probe.dtype} {probe.shape}"
        raise ValueError(f"probe guess: must be complex (N, N) or (modes, N, N), found {found}")
    _guess = probe.astype(np.complex64)


def get_probe_guess() -> NDArray[np.complex64] | None:
    """Return the probe that was announced last, None before."""
    return _guess
