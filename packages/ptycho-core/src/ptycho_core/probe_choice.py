"""The probe that a user gave, and the one to reconstruct with: given, the bundle's, the scan's."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_data import Bundle, Scan, load_probe

from ptycho_core.checks import check_probe

__all__ = ["Probe", "choose_probe", "given_probe"]

log = logging.getLogger(__name__)

Probe = NDArray[np.complexfloating[Any, Any]]

ALIKE = 0.5
"""Normalised inner product of two probes below which they differ too much. On measured data a rough
initial probe and its refinement reached 0.65."""


def choose_probe(
    bundle: Bundle, scan: Scan, given: NDArray[np.complex64] | None = None
) -> NDArray[np.complex64]:
    """Return the probe to reconstruct with, and log which it is, unless it was told before.

    The given probe; else that of the bundle, if it was refined or replaced in the training and has
    the right size; else that of the scan.

    Parameters
    ----------
    bundle
        The trained model.
    scan
        Scan to reconstruct.
    given : (M, N, N) complex64, optional
        Probe that the user gave, or that was found or refined before.

    Raises
    ------
    InvalidValueError
        If the given probe has another size than the patterns.
    """
    if given is not None:
        check_probe(given, scan.N)
        return given
    refined = bundle.config.get("probe_trainable")
    several = len(bundle.scaling.get("scans", [])) > 1
    kept = (
        not several if refined else _was_given(bundle)
    )  # several scans each have their own refined probe
    if kept and bundle.probe.shape[-1] == scan.N:
        log.info("probe: that of the training, from the bundle")
        _warn_of_another(bundle.probe, scan.probe)
        return bundle.probe
    other = f", the bundle's has {bundle.probe.shape[-1]} pixels" if kept else ""
    log.info("probe: from the scan%s", other)
    return scan.probe


def _was_given(bundle: Bundle) -> bool:
    """Whether the bundle's probe was given to the training; older bundles name its file."""
    return bool(bundle.scaling.get("probe_given") or bundle.config.get("probe_file"))


def _warn_of_another(kept: NDArray[np.complex64], own: NDArray[np.complex64]) -> None:
    """Warn if the strongest mode of a bundle's probe differs strongly from the scan's."""
    mode, own_mode = (probe[np.linalg.norm(probe, axis=(1, 2)).argmax()] for probe in (kept, own))
    norms = np.linalg.norm(mode) * np.linalg.norm(own_mode)
    overlap = abs(np.vdot(mode, own_mode)) / norms if norms else 1.0
    if overlap < ALIKE:
        log.warning(
            "probe: the bundle's and the scan's differ strongly (overlap %.2f): if the beam has "
            "changed since the training, give the scan's with --probe-file",
            overlap,
        )


def given_probe(probe: Probe | None, file: Path | None, N: int) -> NDArray[np.complex64] | None:
    """Return the probe (M, N, N) that the user gave, in memory or as a file; None if neither.

    It is logged that there is one.

    Raises
    ------
    ScanFormatError
        There is no probe of N pixels in the file.
    """
    if probe is not None or file is not None:
        log.info("probe: as given")
    if probe is not None:
        modes = np.asarray(probe, dtype=np.complex64)
        return modes[np.newaxis] if modes.ndim == 2 else modes
    return None if file is None else load_probe(file, N)
