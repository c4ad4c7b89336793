"""A probe out of a file: a scan or product of any format, a reconstruction, or just the probe."""

from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptycho_data.contract import has_trailing_mode
from ptycho_data.errors import ScanFormatError
from ptycho_data.formats import format_of
from ptycho_data.npz import load_arrays
from ptycho_data.preview import load_parts

KEYS = ("probe", "probeGuess")


def load_probe(path: str | PathLike[str], N: int | None = None) -> NDArray[np.complex64]:
    """Read the probe of a file.

    Parameters
    ----------
    path
        An NPZ file that holds ``probe``, as a reconstruction does, or ``probeGuess``, as a scan
        does; or a scan or product of any other format.
    N
        Pixels across the patterns that it is for.

    Returns
    -------
    ndarray, (M, N, N) complex64

    Raises
    ------
    ScanFormatError
        If there is no such file, it is of no known format, or its probe is not complex, square,
        finite and lit, or of another size than the patterns.
    """
    contract = Path(path).is_file() and format_of(path).name == "npz"
    found = load_arrays(path, (), optional=KEYS) if contract else load_parts(path, KEYS)
    values = next((found[key] for key in KEYS if key in found), None)
    problem: str | None = None
    if values is None:
        raise ScanFormatError.of(path, "probe", "no such key", " or ".join(KEYS))
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
        raise ScanFormatError.of(path, "probe", problem, expected)
    if N is not None and probe.shape[-1] != N:
        found_size = f"{probe.shape[-1]} x {probe.shape[-1]}"
        expected = f"the {N} x {N} pixels of the patterns"
        raise ScanFormatError.of(path, "probe", found_size, expected)
    return np.asarray(probe, dtype=np.complex64)
