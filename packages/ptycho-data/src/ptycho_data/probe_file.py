"""A probe out of a file of its own: a scan, a reconstruction, or just the probe."""

from os import PathLike

import numpy as np
from numpy.typing import NDArray

from ptycho_data.contract import has_trailing_mode
from ptycho_data.errors import ScanFormatError, Violation
from ptycho_data.npz import load_arrays

KEYS = ("probe", "probeGuess")


def load_probe(path: str | PathLike[str]) -> NDArray[np.complex64]:
    """Read the probe of an NPZ file.

    Parameters
    ----------
    path
        Holds ``probe``, as a reconstruction does, or ``probeGuess``, as a scan does.

    Returns
    -------
    ndarray, (M, N, N) complex64

    Raises
    ------
    ScanFormatError
        If there is no such file, it is not an NPZ file, or its probe is not complex, square,
        finite and lit.
    """
    found = load_arrays(path, (), optional=KEYS)
    values = next((found[key] for key in KEYS if key in found), None)
    problem: str | None = None
    if values is None:
        raise ScanFormatError(
            [
                Violation(
                    file=str(path), key="probe", found="no such key", expected=" or ".join(KEYS)
                )
            ]
        )
    squeezed = values[..., 0] if has_trailing_mode(values.shape) else values
    probe = squeezed[np.newaxis] if squeezed.ndim == 2 else squeezed
    if probe.dtype.kind != "c" or probe.ndim != 3 or probe.shape[-1] != probe.shape[-2]:
        problem = f"{values.dtype} {values.shape}"
    elif not np.isfinite(probe).all():
        problem = "NaN or infinity"
    elif not probe.any():
        problem = "zero everywhere"
    if problem is not None:
        expected = "a complex (N, N) or (M, N, N) array, finite and not zero"
        raise ScanFormatError(
            [Violation(file=str(path), key="probe", found=problem, expected=expected)]
        )
    return np.asarray(probe, dtype=np.complex64)
