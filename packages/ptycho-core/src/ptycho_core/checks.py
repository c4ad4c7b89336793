"""What every backend refuses before a training or a reconstruction, and what it warns of."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ptycho_config import ModelConfig
from ptycho_config.errors import InvalidValueError, MissingFileError
from ptycho_data import Scan, refuse_existing

__all__ = [
    "check_architecture",
    "check_fit",
    "check_outputs",
    "check_probe",
    "check_trained_on",
    "warn_if_few",
]

log = logging.getLogger(__name__)

FEW = 4
"""Warn below this number of patterns."""


def check_architecture(model: ModelConfig, staged: Mapping[str, bool], backend: str) -> None:
    """Refuse a network that a backend does not have, and stages of one that has none.

    Parameters
    ----------
    model
        What is asked for.
    staged
        The backend's networks by name: whether each works in stages.
    backend
        Its name, as users know it.

    Raises
    ------
    InvalidValueError
        Naming what there is.
    """
    name = model.architecture
    if name not in staged:
        known = ", ".join(sorted(staged))
        raise InvalidValueError(
            "architecture", f"one of {known} in the {backend} backend", repr(name)
        )
    if model.joint_stages and not staged[name]:
        able = ", ".join(sorted(key for key, has in staged.items() if has))
        raise InvalidValueError(
            "joint_stages", f"false with architecture {name}", "true", f"use {able}"
        )


def check_fit(trained: int, scan: Scan, *, any_size: bool) -> None:
    """Refuse a scan of another size than a bundle was trained for, unless its network takes any.

    Raises
    ------
    InvalidValueError
        Naming both sizes.
    """
    if trained != scan.N and not any_size:
        raise InvalidValueError(
            f"N of {scan.source or 'the scan'}",
            f"{trained}, the size that the bundle was trained for",
            str(scan.N),
            "train on patterns of that size",
        )


def check_probe(probe: NDArray[np.complex64], N: int) -> None:
    """Refuse a probe that does not fit patterns of N pixels.

    Raises
    ------
    InvalidValueError
        If its shape is not (M, N, N).
    """
    if probe.ndim != 3 or probe.shape[1:] != (N, N):
        rule = f"of shape (M, {N}, {N}), as large as the patterns"
        raise InvalidValueError("probe", rule, f"shape {probe.shape}")


def check_trained_on(scan: Scan, trained: int) -> None:
    """Refuse a scan of another size than the model's, and warn of one with hardly any patterns.

    Raises
    ------
    InvalidValueError
        Naming the scan and both sizes.
    """
    if trained != scan.N:
        name = f"N of {scan.source or 'the scan'}"
        raise InvalidValueError(name, f"{trained}, that of the model", str(scan.N))
    name = f"{scan.source}: " if scan.source is not None else ""
    warn_if_few(scan.n, "little can be learnt", name)


def warn_if_few(count: int, consequence: str, prefix: str = "") -> None:
    """Warn of a scan with so few patterns that hardly anything overlaps, and what follows."""
    if count < FEW:
        log.warning(
            "%sonly %d pattern%s: hardly anything overlaps, and %s",
            prefix,
            count,
            "" if count == 1 else "s",
            consequence,
        )


def check_outputs(target: Path, last: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to replace a bundle, or the checkpoint of a run that may be resumed, unasked.

    Parameters
    ----------
    target, last
        Where the bundle goes, and the checkpoint of the last epoch.
    resume
        Go on from that checkpoint.
    overwrite
        Replace what is there.

    Raises
    ------
    OutputExistsError
        One of them exists, and neither `resume` nor `overwrite` is set.
    MissingFileError
        There is nothing to resume from.
    """
    if resume:
        if not last.exists():
            others = sorted(last.parent.glob("last.*"))
            if others:
                msg = f"{others[0]}: written by the other backend; resume with that one"
                raise MissingFileError(msg)
            msg = f"{last}: nothing to resume from; train without --resume first"
            raise MissingFileError(msg)
        return
    if not overwrite:
        refuse_existing([target, last])
