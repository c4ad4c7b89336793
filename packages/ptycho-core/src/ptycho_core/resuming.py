"""Check that a checkpoint belongs to the run that resumes from it."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_data import Bundle, Scan

__all__ = [
    "CHANGES",
    "Changes",
    "check_resumed",
    "rate_ratio",
    "resumed_changes",
    "resumed_state",
    "scan_fingerprint",
]

log = logging.getLogger(__name__)

#: Settings that a resumed training may change.
CHANGEABLE = ("nepochs", "learning_rate")
#: Name of the list of changes in the state of a training.
CHANGES = "changes"

Changes = list[dict[str, Any]]
"""One dictionary per resumption that changed settings: ``epoch`` is the first one, counted from 1,
with the new ones, and each setting that changed has its ``[before, now]``."""


def resumed_state(
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    scans: Sequence[Scan],
    start: Bundle | None = None,
) -> dict[str, Any]:
    """Return scans and settings of a training as plain values, for `check_resumed`.

    These are the network, its trainable parameters, the learning rate and its schedule, which are
    part of checkpoints, the number of epochs, the scans, and the weights of the model ``start``
    that the training started from.
    """
    names = ("probe_trainable", "positions_trainable", "average_weights")
    state = attrs.asdict(config.model) | {name: getattr(config, name) for name in names}
    state["intensity_scale_trainable"] = config.intensity_scale_trainable and config.counts_decide
    state |= {"learning_rate": execution.learning_rate, "scheduler": str(execution.scheduler)}
    state["nepochs"] = config.nepochs
    state["scans"] = [scan_fingerprint(scan) for scan in scans]
    state["start"] = None if start is None else start.identity["weights_sha256"]
    return state


def scan_fingerprint(scan: Scan) -> str:
    """Identify a scan by its positions and intensity, independently of its file name."""
    where = hashlib.sha256(np.ascontiguousarray(scan.positions).tobytes()).hexdigest()[:8]
    return f"{scan.n} patterns of {scan.intensity_totals.mean():.4g} at {where}"


def check_resumed(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to resume from a checkpoint of other scans or of other settings.

    The number of epochs and the learning rate of a training may differ, see `resumed_changes`.

    Parameters
    ----------
    path
        The checkpoint.
    before, now
        Results of `resumed_state` for the checkpoint and for this training.

    Raises
    ------
    InvalidValueError
        Naming the first setting that differs.
    """
    before = {"start": None, **before}  # of a version that could not start from a model
    for name, value in now.items():
        if name in (*CHANGEABLE, CHANGES):
            continue
        if name not in before or before[name] != value:
            raise InvalidValueError(
                name,
                f"as in {path}, {before.get(name, 'unknown')}",
                str(value),
                "start again with --overwrite, or resume with the same",
            )


def resumed_changes(epochs: int, before: Mapping[str, Any], now: Mapping[str, Any]) -> Changes:
    """Return what was changed on resuming, this time and earlier; this time's is logged.

    Parameters
    ----------
    epochs
        Finished epochs of the checkpoint.
    before, now
        As for `check_resumed`.
    """
    changed = {
        name: [before[name], now[name]]
        for name in CHANGEABLE
        if name in before and before[name] != now[name]
    }
    for name, (then, value) in changed.items():
        log.info("resuming with %s %s instead of %s", name, value, then)
    earlier: Changes = list(before.get(CHANGES, []))
    return [*earlier, {"epoch": epochs + 1, **changed}] if changed else earlier


def rate_ratio(before: Mapping[str, Any], now: Mapping[str, Any]) -> float:
    """Return the factor by which the learning rate of a resumed training changes.

    Every rate that a checkpoint holds is multiplied by it: the learning rate is the base that the
    schedule scales.
    """
    return float(now["learning_rate"] / before.get("learning_rate", now["learning_rate"]))
