"""Checks and warnings of all backends before a training or a reconstruction."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, MissingFileError
from ptycho_data import Scan, refuse_existing

from ptycho_core.checkpoints import CheckpointFiles

__all__ = [
    "check_fit",
    "check_outputs",
    "check_probe",
    "check_trained_on",
    "warn_if_few",
]

log = logging.getLogger(__name__)

FEW = 4
"""Warn below this number of patterns."""


def check_fit(trained: int, scan: Scan, *, any_size: bool) -> None:
    """Refuse a scan of another size than a bundle was trained for, unless its network accepts any.

    Raises
    ------
    InvalidValueError
        If the sizes differ; the message has both.
    """
    if trained != scan.N and not any_size:
        raise InvalidValueError(
            f"N of {scan.source or 'the scan'}",
            f"{trained}, the size that the bundle was trained for",
            str(scan.N),
            "train on patterns of that size",
        )


def check_probe(probe: NDArray[np.complex64], N: int) -> None:
    """Refuse a probe that does not match patterns of N pixels.

    Raises
    ------
    InvalidValueError
        If its shape is not (M, N, N).
    """
    if probe.ndim != 3 or probe.shape[1:] != (N, N):
        rule = f"of shape (M, {N}, {N}), as large as the patterns"
        raise InvalidValueError("probe", rule, f"shape {probe.shape}")


def check_trained_on(scan: Scan, trained: int) -> None:
    """Refuse a scan of another size than the model's, and warn of one with very few patterns.

    Raises
    ------
    InvalidValueError
        If the sizes differ; the message has the scan and both sizes.
    """
    if trained != scan.N:
        name = f"N of {scan.source or 'the scan'}"
        raise InvalidValueError(name, f"{trained}, that of the model", str(scan.N))
    name = f"{scan.source}: " if scan.source is not None else ""
    warn_if_few(scan.n, "training may fail", name)


def warn_if_few(count: int, consequence: str, prefix: str = "") -> None:
    """Warn of a scan with so few patterns that they hardly overlap, and of the consequence."""
    if count < FEW:
        log.warning(
            "%sonly %d pattern%s with hardly any overlap: %s",
            prefix,
            count,
            "" if count == 1 else "s",
            consequence,
        )


def check_outputs(
    target: Path, checkpoints: CheckpointFiles, *, resume: bool, overwrite: bool
) -> None:
    """Refuse to replace a bundle, or the checkpoints of a run that may be resumed.

    Parameters
    ----------
    target
        File of the bundle.
    checkpoints
        Checkpoints in the same folder.
    resume
        Resume from them.
    overwrite
        Replace existing files.

    Raises
    ------
    OutputExistsError
        One of them exists, and neither `resume` nor `overwrite` is set.
    MissingFileError
        There is no checkpoint to resume from.
    """
    present = checkpoints.valid()
    if not resume:
        if not overwrite:
            refuse_existing([target, *present.found()])
    elif not present.found():
        others = sorted(present.folder.glob("last.*"))
        if others:
            msg = f"{others[0]}: written by the other backend; resume with that one"
        else:
            msg = f"{checkpoints.last}: nothing to resume from; train without --resume first"
        raise MissingFileError(msg)
