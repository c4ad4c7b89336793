"""The probe of a run whose detector is too coarse for it: it is larger than the patterns.

A scan has a probe of the size of its patterns. A larger one comes from a file, from optics or from
an earlier result; without one, that of the scan is laid amid darkness, and refined.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan, load_probe

from ptycho_core.first_probe.sources import probe_source
from ptycho_core.solving.warm_start import WarmStart

__all__ = ["wide_probe"]

Probe = NDArray[np.complex64]


def wide_probe(
    scan: Scan,
    sampling: int,
    *,
    first_probe: str | None = None,
    probe_file: Path | None = None,
    start: WarmStart | None = None,
) -> Probe | None:
    """Return the probe to begin with on a coarse detector; None: that of the scan.

    Parameters
    ----------
    scan
        The scan to solve.
    sampling
        See ``detector_sampling`` of `ptycho_physics.solve`.
    first_probe, probe_file, start
        As for `solve_scan`: the first that is given tells.

    Returns
    -------
    (M, N, N) or (M, sN, sN) complex64 array, or None

    Raises
    ------
    InvalidValueError
        If the probe fits neither the patterns nor the waves.
    ScanFormatError
        If there is none in the file.
    """
    if sampling == 1:
        return None
    size = sampling * scan.N
    if first_probe is not None:
        source = probe_source(first_probe)
        return None if source.kind == "auto" else source.make(scan, size)
    if probe_file is not None:
        return _of_size(load_probe(probe_file), scan.N, size, probe_file)
    return None if start is None else start.reconstruction.probe


def _of_size(probe: Probe, N: int, size: int, path: Any) -> Probe:
    K = probe.shape[-1]
    if K not in (N, size):
        rule = f"of {N} x {N} pixels like the patterns, or {size} x {size} like the waves"
        raise InvalidValueError(f"probe of {path}", rule, f"{K} x {K}")
    return probe
