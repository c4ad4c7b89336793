"""``ptycho train``: a scan in, a trained bundle out."""

from pathlib import Path
from typing import Any

import attrs
import click
from ptycho_config import (
    ModelConfig,
    PyTorchExecutionConfig,
    Resolved,
    TrainingConfig,
    resolve_training,
)
from ptycho_data import Scan, write_json

from ptycho_cli.backends import require, trainer
from ptycho_cli.layers import (
    INFERENCE_ONLY,
    TRAINING_DEFAULTS,
    Sources,
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
@click.argument("scan", type=INPUT)
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
    scan: Path,
    output: Path,
    config_file: Path | None,
    overwrite: bool,
    resume: bool,
    **_: Any,
) -> None:
    r"""Train a network on SCAN; no ground truth is needed.

    Writes wts.h5.zip (the model), metrics.json and run.json. A setting is taken from the command
    line, else from --config, else from the data (N, nphotons), else from its default.

    \b
    ptycho train scan.npz -o model
    ptycho train scan.npz -o model --gridsize 2 --nepochs 20 --n-groups 512
    """
    fixed = {"train_data_file": scan, "output_dir": output}
    sources = gather(ctx, TrainingConfig, config_file, fixed, TRAINING_DEFAULTS)
    run_training(sources, overwrite=overwrite, resume=resume)


def run_training(sources: Sources, *, overwrite: bool, resume: bool) -> Any:
    """Train as the sources say and write everything; see ``ptycho train``.

    Parameters
    ----------
    sources
        All layers but that of the data, with ``train_data_file`` and ``output_dir``.
    overwrite, resume
        Replace results; go on from the last checkpoint.

    Returns
    -------
    TrainingResult
        Of the backend.
    """
    clock = Stopwatch()
    # First without the data: a mistake or a missing backend shall be told before they are read.
    first = resolve_training(sources.layers).config
    require(first.backend)
    folder = output_folder(first.output_dir, () if resume else TRAINING_FILES, overwrite=overwrite)
    with clock.stage("read"):
        scan = read_scan(first.train_data_file, first)
        data: dict[str, object] = {"N": scan.N}
        if scan.nphotons is not None:
            data["nphotons"] = scan.nphotons
        sources = sources.adding("data", data, str(first.train_data_file))
        resolved = say_configuration(resolve_training, sources)
        check_size(resolved, scan, first.train_data_file)
        test_scan = _test_scan(resolved)
    with clock.stage("train"):
        result = trainer(resolved.config.backend)(
            _with_photons(scan, resolved.config),
            resolved.config,
            resolved.execution,
            test_scan=test_scan,
            overrides_applied=resolved.overrides_applied,
            resume=resume,
            overwrite=overwrite or resume,
        )
    if result.main_process:
        _write(folder, resolved, result, clock, overwrite=overwrite or resume)
    return result


def _with_photons(scan: Scan, config: TrainingConfig) -> Scan:
    """Let an explicit nphotons win over the file's: the layers have decided already."""
    return attrs.evolve(scan, nphotons=config.nphotons) if scan.domain == "amplitude" else scan


def _test_scan(resolved: Resolved[TrainingConfig]) -> Scan | None:
    path = resolved.config.test_data_file
    if path is None:
        return None
    scan = read_scan(path, resolved.config)
    check_size(resolved, scan, path)
    return _with_photons(scan, resolved.config)


def _write(
    folder: Path,
    resolved: Resolved[TrainingConfig],
    result: Any,
    clock: Stopwatch,
    *,
    overwrite: bool,
) -> None:
    config = resolved.config
    final = {name: values[-1] for name, values in result.history.items() if len(values)}
    metrics = {"epochs": result.epochs, "final": final, "history": result.history}
    write_json(folder / "metrics.json", metrics, overwrite=overwrite)
    inputs = {"train_data_file": config.train_data_file}
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
    write_json(folder / RUN_FILE, record, overwrite=overwrite)
    losses = ", ".join(f"{name} {value:.6g}" for name, value in final.items() if "loss" in name)
    click.echo(
        f"{result.bundle_path}: {result.epochs} epochs in {clock.seconds['train']:.1f} s, {losses}"
    )
