"""Scale of a scan: its mean counts, and the transmission of its sample."""

import math

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan, read_patterns
from ptycho_physics import detected_fraction, extract_patches, normalise_probe, probe_intensity

__all__ = ["mean_counts", "truth_gain", "truth_patches"]

CHUNK = 64
"""Number of ground-truth patches processed at a time."""


def mean_counts(
    scan: Scan,
    indices: NDArray[np.int64],
    nphotons: float | None,
    probe: NDArray[np.complex64],
) -> float:
    """Mean counts per pattern over the patterns ``indices`` of a scan.

    Counts missing at bad pixels are estimated from the intensity of the empty beam there: a beam
    stop does not make the sample darker.

    Raises
    ------
    InvalidValueError
        If all of them are zero.
    """
    totals = scan.intensity_totals
    if not totals[indices].any():
        raise InvalidValueError(
            f"patterns of {scan.source or 'the scan'}", "not all zero", "zero in every pattern"
        )
    mean = scan.mean_photons(nphotons) * float(totals[indices].mean() / totals.mean())
    if scan.bad_pixels is None:
        return mean
    return mean / detected_fraction(probe, scan.bad_pixels)


def truth_patches(scan: Scan, indices: NDArray[np.int64]) -> NDArray[np.complex64]:
    """Ground-truth patches (k, N, N) of a scan: its own, or extracted from its object.

    Raises
    ------
    InvalidValueError
        If the scan has neither.
    """
    if scan.patches is not None:
        return read_patterns(scan.patches, indices, np.complex64)
    if scan.object_guess is None:
        raise InvalidValueError(
            "objectGuess or Y",
            f"in {scan.source or 'the scan'} for supervised training and real-space losses",
            "neither",
            "train without labels (model_type pinn)",
        )
    cut = extract_patches(scan.object_guess, scan.positions[indices], scan.N)
    return np.asarray(cut)


def truth_gain(scan: Scan, indices: NDArray[np.int64], probe: NDArray[np.complex64]) -> float:
    """Root of the mean transmitted power of the ground truth behind a probe of unit power.

    Dividing the truth by it gives the scale that the network obtains from the counts.
    """
    light = probe_intensity(normalise_probe(probe))
    power = 0.0
    for start in range(0, len(indices), CHUNK):
        patches = truth_patches(scan, indices[start : start + CHUNK])
        power += float((np.abs(patches) ** 2 * light).sum())
    return math.sqrt(power / len(indices))
