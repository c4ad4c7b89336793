"""``ptycho train``: a scan in, a trained bundle out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from ptycho_config import (
    ModelConfig,
    PyTorchExecutionConfig,
    Resolved,
    TrainingConfig,
    resolve_training,
)
from ptycho_core.backends import trainer
from ptycho_core.results import TrainingInterrupted, TrainingResult
from ptycho_data import Scan, write_json

from ptycho_cli.console import note
from ptycho_cli.layers import (
    INFERENCE_ONLY,
    TRAINING_DEFAULTS,
    Sources,
    check_settings,
    check_size,
    gather,
    read_scan,
    say_configuration,
)
from ptycho_cli.options import field_options
from ptycho_cli.outputs import output_folder
from ptycho_cli.record import RUN_FILE, Stopwatch, run_record
from ptycho_cli.sections import Command, section

__all__ = ["TRAINING_FILES", "run_training", "train"]

TRAINING_FILES = ("wts.h5.zip", "metrics.json", RUN_FILE)
PATH = click.Path(path_type=Path)
INPUT = click.Path(path_type=Path, exists=True)


@field_options(
    TrainingConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    skip=("train_data_file", "output_dir", *INFERENCE_ONLY),
    defaults=TRAINING_DEFAULTS,
)
@click.command(cls=Command)
@click.argument("scans", metavar="SCAN...", type=INPUT, nargs=-1, required=True)
@section("Input and output")(
    "-o", "--output-dir", "output", type=PATH, required=True, help="Folder to write to."
)
@section("Input and output")(
    "--config", "config_file", type=INPUT, help="Settings in TOML, YAML or JSON; options win."
)
@section("Input and output")("--overwrite", is_flag=True, help="Replace existing results.")
@section("Input and output")(
    "--resume", is_flag=True, help="Go on from the last checkpoint in the output folder."
)
@click.pass_context
def train(
    ctx: click.Context,
    /,
    scans: tuple[Path, ...],
    output: Path,
    config_file: Path | None,
    overwrite: bool,
    resume: bool,
    **_: Any,
) -> None:
    r"""Train a network on one SCAN or several; no ground truth is needed.

    Several scans must have patterns of one size; each keeps its own probe, positions, bad pixels
    and dose, and sampling settings such as --n-groups hold for each.

    Writes wts.h5.zip (the model), metrics.json and run.json. A setting is taken from the command
    line, else from --config, else from the data (N, nphotons), else from its default.

    \b
    ptycho train scan.npz -o model
    ptycho train scan.npz -o model --gridsize 2 --nepochs 20 --n-groups 512
    ptycho train monday.npz tuesday.npz -o model
    """
    first, *more = scans
    fixed = {"train_data_file": first, "output_dir": output}
    sources = gather(ctx, TrainingConfig, config_file, fixed, TRAINING_DEFAULTS)
    run_training(sources, more=more, overwrite=overwrite, resume=resume)


def run_training(
    sources: Sources, *, overwrite: bool, resume: bool, more: Sequence[Path] = ()
) -> TrainingResult:
    """Train as the sources say and write everything; see ``ptycho train``.

    Parameters
    ----------
    sources
        All layers but that of the data, with ``train_data_file`` and ``output_dir``.
    overwrite, resume
        Replace results; go on from the last checkpoint.
    more
        Scans to train on besides the first.

    Returns
    -------
    TrainingResult
    """
    clock = Stopwatch()
    # First without the data: a mistake or a missing backend shall be told before they are read.
    first = resolve_training(sources.layers)
    paths = [first.config.train_data_file, *more]
    check_settings(first.config.backend, "training", first.config, first.execution, len(paths))
    folder = output_folder(
        first.config.output_dir, () if resume else TRAINING_FILES, overwrite=overwrite
    )
    with clock.stage("read"):
        scans = [read_scan(path, first.config) for path in paths]
        sources = sources.adding("data", _facts(scans), ", ".join(map(str, paths)))
        resolved = say_configuration(resolve_training, sources)
        if more:
            note(f"trained on as well: {', '.join(map(str, more))}")
        for path, scan in zip(paths, scans, strict=True):
            check_size(resolved, scan, path)
        test_scan = _test_scan(resolved)
    interrupt: TrainingInterrupted | None = None
    try:
        with clock.stage("train"):
            result = trainer(resolved.config.backend)(
                scans if more else scans[0],
                resolved.config,
                resolved.execution,
                output=folder,
                probe=None if first.config.probe_file is None else scans[0].probe,
                test_scan=test_scan,
                overrides_applied=resolved.overrides_applied,
                resume=resume,
                overwrite=overwrite or resume,
            )
    except TrainingInterrupted as stopped:
        interrupt, result = stopped, stopped.result
    if result.main_process:
        _write(folder, resolved, result, clock, paths, resume=resume, overwrite=overwrite)
    if interrupt is not None:
        raise interrupt
    return result


def _facts(scans: Sequence[Scan]) -> dict[str, object]:
    """Return what the data say: N, and the dose where all scans state the same one."""
    data: dict[str, object] = {"N": scans[0].N}
    doses = {scan.nphotons for scan in scans}
    if len(doses) == 1 and None not in doses:
        data["nphotons"] = scans[0].nphotons
    return data


def _test_scan(resolved: Resolved[TrainingConfig]) -> Scan | None:
    path = resolved.config.test_data_file
    if path is None:
        return None
    scan = read_scan(path, resolved.config)
    check_size(resolved, scan, path)
    return scan


def _write(
    folder: Path,
    resolved: Resolved[TrainingConfig],
    result: TrainingResult,
    clock: Stopwatch,
    paths: Sequence[Path],
    *,
    resume: bool,
    overwrite: bool,
) -> None:
    config = resolved.config
    final = {name: values[-1] for name, values in result.history.items() if len(values)}
    kept, loss = _kept(result, resolved.execution)
    told = f"kept epoch {kept} of {result.epochs}: {loss}"
    if not result.written:
        click.echo(f"{result.bundle_path}: nothing left to do, {told}")
        return
    replace = overwrite or resume
    metrics = {"epochs": result.epochs, "kept_epoch": kept, "final": final}
    metrics["history"] = result.history
    write_json(folder / "metrics.json", metrics, overwrite=replace)
    inputs = {"train_data_file": paths[0]}
    inputs |= {f"train_data_file_{k}": path for k, path in enumerate(paths[1:], start=2)}
    for role in ("test_data_file", "probe_file"):
        if getattr(config, role) is not None:
            inputs[role] = getattr(config, role)
    record = run_record(
        "train",
        inputs=inputs,
        clock=clock,
        configuration=resolved.to_dict(),
        overrides=resolved.overrides_applied,
        backend=config.backend,
        epochs=result.epochs,
    )
    write_json(folder / RUN_FILE, record, overwrite=replace)
    click.echo(f"{result.bundle_path}: trained in {clock.seconds['train']:.1f} s, {told}")


def _kept(result: TrainingResult, execution: PyTorchExecutionConfig) -> tuple[int, str]:
    """Return which epoch, counted from 1, has the weights that were kept, and its loss in words.

    That with the best of the monitored losses; the last one where checkpoints are not kept.
    """
    monitor = execution.monitor(validated="val_loss" in result.history)
    losses = np.asarray(result.history[monitor], dtype=np.float64)
    best = len(losses) - 1
    if execution.enable_checkpointing and execution.checkpoint_save_top_k != 0:
        worse = losses if execution.checkpoint_mode == "min" else -losses
        best = int(np.argmin(np.where(np.isnan(worse), np.inf, worse)))
    return best + 1, f"{monitor} {losses[best]:.6g}"
