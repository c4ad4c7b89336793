"""What a training writes besides its bundle: metrics, the record of the run, refined probes."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ptycho_config import PyTorchExecutionConfig, Resolved, TrainingConfig
from ptycho_config.text_files import read_table
from ptycho_data import write_json

from ptycho_core.cautions import Caution
from ptycho_core.outputs import REPORT_FILE
from ptycho_core.record import RUN_FILE, Stopwatch, run_record
from ptycho_core.refined_scans import write_refined
from ptycho_core.results import TrainingResult
from ptycho_core.sparing import sparing_results
from ptycho_core.training.probes import Start

__all__ = [
    "kept_epoch",
    "was_refined",
    "write_metrics",
    "write_probes",
    "write_record",
    "write_report",
]

log = logging.getLogger(__name__)


def write_metrics(folder: Path, result: TrainingResult, execution: PyTorchExecutionConfig) -> None:
    """Write ``metrics.json``: the losses, and which epoch's weights were kept."""
    metrics = {
        "epochs": result.epochs,
        "stopped": result.stopped,
        "kept_epoch": kept_epoch(result, execution)[0],
        "final": {name: values[-1] for name, values in result.history.items() if len(values)},
        "history": result.history,
    }
    write_json(folder / "metrics.json", metrics)


def write_record(
    folder: Path,
    result: TrainingResult,
    resolved: Resolved[TrainingConfig],
    *,
    inputs: Mapping[str, Mapping[str, Any]],
    reading: Mapping[str, Any],
    start: Start,
    cautions: Sequence[Caution],
    clock: Stopwatch,
) -> None:
    """Write ``run.json``; parameters as of `ptycho_core.record.run_record`."""
    record = run_record(
        "train",
        inputs=inputs,
        clock=clock,
        configuration=resolved.to_dict(),
        overrides=resolved.overrides_applied,
        reading=reading,
        cautions=cautions,
        backend=resolved.config.backend,
        epochs=result.epochs,
        stopped=result.stopped,
        changes=result.changes,
        **start.record,
    )
    write_json(folder / RUN_FILE, record)


def write_probes(place: Path, folder: Path, start: Start, config: TrainingConfig) -> None:
    """Write the found or refined probes of several scans, which no bundle holds.

    Parameters
    ----------
    place
        Where to write.
    folder
        The folder that it becomes, for the log.
    start
        The scans and their probes.
    config
        With it the backend may write probes that training has refined further; then none are
        written here.
    """
    scans = start.scans
    written_later = config.probe_trainable or config.positions_trainable
    if len(scans) == 1 or written_later or not (start.refined or start.found):
        return
    for path in write_refined(place, [(scan, scan.probe, None) for scan in scans]):
        name = folder / path.relative_to(place)
        log.info("refined probe of one scan, for --probe-file: %s", name)


def write_report(
    place: Path,
    folder: Path,
    result: TrainingResult,
    execution: PyTorchExecutionConfig,
    start: Start,
) -> None:
    """Write ``report.html``; a failure is a warning, as the model must not be lost.

    Parameters
    ----------
    place
        Where to write; it has ``run.json``.
    folder
        The folder that it becomes.
    result, execution, start
        The training, how it was computed, and its scans.
    """
    with sparing_results("no report"):
        from ptycho_core.report.training import training_report

        page = training_report(
            start.scans,
            result.history,
            record=json.loads((place / RUN_FILE).read_bytes()),
            kept=kept_epoch(result, execution)[1],
            output=folder.name,
        )
        (place / REPORT_FILE).write_bytes(page)


def was_refined(folder: Path) -> bool | None:
    """Whether the probe was refined before the training in a folder; None if none is recorded."""
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    return bool(read_table(path, limit=2**24, items=2**20).get("probe_refinement"))


def kept_epoch(result: TrainingResult, execution: PyTorchExecutionConfig) -> tuple[int, str]:
    """Return the epoch, counted from 1, whose weights were kept, and a line about it.

    It is the one with the best monitored loss, or the last one if checkpoints are not kept.
    """
    monitor = execution.monitor(validated="val_loss" in result.history)
    losses = np.asarray(result.history[monitor], dtype=np.float64)
    best = len(losses) - 1
    if execution.enable_checkpointing and execution.checkpoint_save_top_k != 0:
        worse = losses if execution.checkpoint_mode == "min" else -losses
        best = int(np.argmin(np.where(np.isnan(worse), np.inf, worse)))
    return best + 1, f"epoch {best + 1} of {result.epochs}: {monitor} {losses[best]:.6g}"
