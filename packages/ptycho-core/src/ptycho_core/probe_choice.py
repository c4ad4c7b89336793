"""Which probe a reconstruction uses: that of a file, of the bundle, or of the scan."""

import logging

import numpy as np
from numpy.typing import NDArray
from ptycho_data import Bundle, Scan

from ptycho_core.checks import check_probe

__all__ = ["choose_probe"]

log = logging.getLogger(__name__)

ALIKE = 0.5
"""Normalised inner product of two probes below which one hardly stands for the other. A rough guess
of a probe and what refinement made of it reached 0.65 on measured data."""


def choose_probe(
    bundle: Bundle, scan: Scan, given: NDArray[np.complex64] | None = None
) -> NDArray[np.complex64]:
    """Return the probe to reconstruct with, and log which it is.

    The one given; else the bundle's, if training did not use its scan's own probe as it was but
    refined it or was given another, and it fits; else the scan's.

    Parameters
    ----------
    bundle
        The trained model.
    scan
        What is reconstructed.
    given : (M, N, N) complex64, optional
        Probe that the user asks for.

    Raises
    ------
    InvalidValueError
        If the given probe has another size than the patterns.
    """
    if given is not None:
        check_probe(given, scan.N)
        log.info("probe: the one that was given")
        return given
    refined = bundle.config.get("probe_trainable")
    several = len(bundle.scaling.get("scans", [])) > 1
    kept = not several if refined else _was_given(bundle)  # of several, each refined its own
    if kept and bundle.probe.shape[-1] == scan.N:
        log.info("probe: the one the network was trained with, kept in the bundle")
        _warn_of_another(bundle.probe, scan.probe)
        return bundle.probe
    other = f", the bundle's has {bundle.probe.shape[-1]} pixels" if kept else ""
    log.info("probe: from the scan%s", other)
    return scan.probe


def _was_given(bundle: Bundle) -> bool:
    """Whether the bundle's probe was given to the training; older bundles name its file."""
    return bool(bundle.scaling.get("probe_given") or bundle.config.get("probe_file"))


def _warn_of_another(kept: NDArray[np.complex64], own: NDArray[np.complex64]) -> None:
    """Warn where the strongest mode of a bundle's probe has little to do with the scan's."""
    one, other = (probe[np.linalg.norm(probe, axis=(1, 2)).argmax()] for probe in (kept, own))
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    alike = abs(np.vdot(one, other)) / norms if norms else 1.0
    if alike < ALIKE:
        log.warning(
            "probe: the bundle's and the scan's have little in common (%.2f of 1): if the beam has "
            "changed since the training, give the scan's with --probe-file",
            alike,
        )
