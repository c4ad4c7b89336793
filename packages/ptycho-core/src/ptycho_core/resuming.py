"""What a checkpoint must have in common with the training that goes on from it."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan

__all__ = ["check_resumed", "replacing", "resumed_state"]


def resumed_state(
    config: TrainingConfig, execution: PyTorchExecutionConfig, scans: Sequence[Scan]
) -> dict[str, Any]:
    """Return what a checkpoint has to say of its training, for `check_resumed`: plain values.

    The network, what of it is trained, the learning rate and its schedule, which checkpoints hold,
    and the scans.
    """
    names = ("probe_trainable", "positions_trainable", "average_weights")
    state = attrs.asdict(config.model) | {name: getattr(config, name) for name in names}
    state["intensity_scale_trainable"] = config.intensity_scale_trainable and config.counts_decide
    state |= {"learning_rate": execution.learning_rate, "scheduler": str(execution.scheduler)}
    state["scans"] = [_fingerprint(scan) for scan in scans]
    return state


def _fingerprint(scan: Scan) -> str:
    """Tell a scan from others, wherever its file lies: its positions, and how bright it is."""
    where = hashlib.sha256(np.ascontiguousarray(scan.positions).tobytes()).hexdigest()[:8]
    return f"{scan.n} patterns of {scan.intensity_totals.mean():.4g} at {where}"


def check_resumed(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint of other scans, or of a network trained otherwise.

    Parameters
    ----------
    path
        The checkpoint.
    before, now
        What `resumed_state` said and says.

    Raises
    ------
    InvalidValueError
        Naming the first setting that is another.
    """
    for name, value in now.items():
        if name not in before or before[name] != value:
            raise InvalidValueError(
                f"{path}: {name}",
                f"as when it was written, {before.get(name, 'unknown')}",
                str(value),
                "train anew with --overwrite, or resume with the same",
            )


@contextmanager
def replacing(folder: Path, *, keep: bool) -> Iterator[None]:
    """Start with an empty folder; if the work fails, the old one comes back.

    So it does when the work is interrupted before it has written anything.

    Parameters
    ----------
    folder
        Where the work writes.
    keep
        Leave what is there, for work that goes on from it.
    """
    old = folder.with_name(f"{folder.name}.old")
    if folder.exists() and not keep:
        shutil.rmtree(old, ignore_errors=True)  # what a run killed in here left
        folder.replace(old)
    try:
        yield
    except BaseException as error:
        failed = isinstance(error, Exception) or not any(folder.glob("*"))
        if failed and old.exists():
            shutil.rmtree(folder, ignore_errors=True)
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
