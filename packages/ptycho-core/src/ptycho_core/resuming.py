"""Check that a checkpoint belongs to the run that resumes from it."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan

__all__ = ["check_resumed", "resumed_state", "scan_fingerprint"]


def resumed_state(
    config: TrainingConfig, execution: PyTorchExecutionConfig, scans: Sequence[Scan]
) -> dict[str, Any]:
    """Return scans and settings of a training as plain values, for `check_resumed`.

    These are the network, its trainable parameters, the learning rate and its schedule, which are
    part of checkpoints, and the scans.
    """
    names = ("probe_trainable", "positions_trainable", "average_weights")
    state = attrs.asdict(config.model) | {name: getattr(config, name) for name in names}
    state["intensity_scale_trainable"] = config.intensity_scale_trainable and config.counts_decide
    state |= {"learning_rate": execution.learning_rate, "scheduler": str(execution.scheduler)}
    state["scans"] = [scan_fingerprint(scan) for scan in scans]
    return state


def scan_fingerprint(scan: Scan) -> str:
    """Identify a scan by its positions and intensity, independently of its file name."""
    where = hashlib.sha256(np.ascontiguousarray(scan.positions).tobytes()).hexdigest()[:8]
    return f"{scan.n} patterns of {scan.intensity_totals.mean():.4g} at {where}"


def check_resumed(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to resume from a checkpoint of other scans or of other settings.

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
    for name, value in now.items():
        if name not in before or before[name] != value:
            raise InvalidValueError(
                name,
                f"as in {path}, {before.get(name, 'unknown')}",
                str(value),
                "start again with --overwrite, or resume with the same",
            )
