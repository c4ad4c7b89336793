"""What fixes the scale of a scan: how bright it is, and how much its sample lets through."""

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ptycho_physics.forward import detected_fraction, normalise_probe, probe_intensity
from ptycho_physics.patches import extract_patches

CHUNK = 64
"""Ground-truth patches at a time."""


class MeasuredScan(Protocol):
    """What is asked of a scan here; `ptycho_data.Scan` has all of it, by these names."""

    @property
    def N(self) -> int: ...  # noqa: D102, N802
    @property
    def positions(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def patches(self) -> Any: ...  # noqa: D102
    @property
    def object_guess(self) -> NDArray[np.complex64] | None: ...  # noqa: D102
    @property
    def bad_pixels(self) -> NDArray[np.bool_] | None: ...  # noqa: D102
    @property
    def source(self) -> object: ...  # noqa: D102
    @property
    def intensity_totals(self) -> NDArray[np.float64]: ...  # noqa: D102
    def mean_photons(self, nphotons: float | None = None) -> float: ...  # noqa: D102


def mean_counts(
    scan: MeasuredScan,
    indices: NDArray[np.int64],
    nphotons: float | None,
    probe: NDArray[np.complex64],
) -> float:
    """Mean counts per pattern over the patterns ``indices`` of a scan.

    What bad pixels would have counted is made up for, by the light that the probe alone sends
    there: a beam stop does not make the sample darker.

    Raises
    ------
    ValueError
        If no light is in any of them.
    """
    totals = scan.intensity_totals
    if not totals[indices].any():
        msg = f"{scan.source or 'scan'}: patterns must not all be dark, found no counts in any"
        raise ValueError(msg)
    mean = scan.mean_photons(nphotons) * float(totals[indices].mean() / totals.mean())
    if scan.bad_pixels is None:
        return mean
    return mean / detected_fraction(probe, scan.bad_pixels)


def truth_patches(scan: MeasuredScan, indices: NDArray[np.int64]) -> NDArray[np.complex64]:
    """Ground-truth patches (k, N, N) of a scan: its own, or cut out of its object.

    Raises
    ------
    ValueError
        If the scan has neither.
    """
    if scan.patches is not None:
        return np.asarray(scan.patches[indices], dtype=np.complex64)
    if scan.object_guess is None:
        msg = (
            f"{scan.source or 'scan'}: objectGuess or Y: needed for supervised training and "
            "real-space losses, found none; train without labels (model_type pinn)"
        )
        raise ValueError(msg)
    cut = extract_patches(scan.object_guess, scan.positions[indices], scan.N)
    return np.asarray(cut)


def truth_gain(
    scan: MeasuredScan, indices: NDArray[np.int64], probe: NDArray[np.complex64]
) -> float:
    """Root of the mean transmitted power of the ground truth behind a probe of unit power.

    Dividing by it gives the truth the scale of what the network finds from the counts.
    """
    light = probe_intensity(normalise_probe(probe))
    power = 0.0
    for start in range(0, len(indices), CHUNK):
        patches = truth_patches(scan, indices[start : start + CHUNK])
        power += float((np.abs(patches) ** 2 * light).sum())
    return math.sqrt(power / len(indices))
