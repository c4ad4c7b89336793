"""``ptycho infer``: a bundle and a scan in, an object out."""

from pathlib import Path
from typing import Any

import click
from ptycho_config import InferenceConfig, PyTorchExecutionConfig, resolve_inference
from ptycho_data import load_bundle, write_json, write_results

from ptycho_cli.backends import reconstructor, require
from ptycho_cli.console import counter, current_state
from ptycho_cli.layers import (
    INFERENCE_DEFAULTS,
    TRAINING_ONLY,
    Sources,
    check_size,
    gather,
    of_bundle,
    read_scan,
    say_configuration,
)
from ptycho_cli.options import field_options
from ptycho_cli.outputs import output_folder
from ptycho_cli.record import RUN_FILE, Stopwatch, run_record
from ptycho_cli.results import OUTPUT_FILES, reference_metrics, summary
from ptycho_cli.sections import Command, section

__all__ = ["infer", "run_inference"]

PATH = click.Path(path_type=Path)
INPUT = click.Path(path_type=Path, exists=True)


@field_options(
    InferenceConfig,
    PyTorchExecutionConfig,
    skip=("model_path", "test_data_file", "output_dir", "debug", *TRAINING_ONLY),
    defaults={
        **INFERENCE_DEFAULTS,
        "neighbor_count": "as in training",
        "backend": "the one that trained the bundle",
    },
)
@click.command(cls=Command)
@click.argument("bundle", type=INPUT)
@click.argument("scan", type=INPUT)
@section("Input and output")(
    "-o", "--output-dir", "output", type=PATH, required=True, help="Folder to write to."
)
@section("Input and output")(
    "--config", "config_file", type=INPUT, help="Settings in TOML, YAML or JSON; options win."
)
@section("Input and output")("--overwrite", is_flag=True, help="Replace existing results.")
@click.pass_context
def infer(
    ctx: click.Context,
    /,
    bundle: Path,
    scan: Path,
    output: Path,
    config_file: Path | None,
    overwrite: bool,
    **_: Any,
) -> None:
    r"""Reconstruct SCAN with the trained network in BUNDLE (the file, or the folder that holds it).

    Writes reconstruction.npz, product.h5 (for ptychodus), pictures of amplitude and phase,
    metrics.json and run.json. All patterns are used unless a number is asked for.

    \b
    ptycho infer model scan.npz -o result
    """
    fixed: dict[str, object] = {"model_path": bundle, "test_data_file": scan, "output_dir": output}
    if current_state().debug:
        fixed["debug"] = True
    sources = gather(ctx, InferenceConfig, config_file, fixed, INFERENCE_DEFAULTS)
    run_inference(sources, overwrite=overwrite)


def run_inference(sources: Sources, *, overwrite: bool) -> dict[str, Any]:
    """Reconstruct as the sources say and write everything; see ``ptycho infer``.

    Parameters
    ----------
    sources
        All layers but that of the bundle, with ``model_path``, ``test_data_file`` and
        ``output_dir``.
    overwrite
        Replace results.

    Returns
    -------
    dict
        What ``metrics.json`` holds.
    """
    clock = Stopwatch()
    first = resolve_inference(sources.layers).config
    folder = output_folder(first.output_dir, OUTPUT_FILES, overwrite=overwrite)
    with clock.stage("load bundle"):
        bundle = load_bundle(first.model_path)
    sources = of_bundle(sources, bundle, first.model_path)
    resolved = say_configuration(resolve_inference, sources)
    config = resolved.config
    require(config.backend)
    with clock.stage("read"):
        scan = read_scan(config.test_data_file, config)
    check_size(resolved, scan, config.test_data_file)
    reconstruct = reconstructor(config.backend)
    with clock.stage("reconstruct"), counter("reconstructing") as update:
        result = reconstruct(bundle, scan, config, resolved.execution, progress=update)
    rec = result.reconstruction
    with clock.stage("evaluate"):
        metrics = {"r_factor": result.r_factor, **reference_metrics(rec, scan)}
    write_results(
        folder,
        rec,
        metrics=metrics,
        photons=scan.nphotons,
        overwrite=overwrite,
        stage=clock.stage,
    )
    inputs = {"model_path": config.model_path, "test_data_file": config.test_data_file}
    if config.probe_file is not None:
        inputs["probe_file"] = config.probe_file
    record = run_record(
        "infer",
        inputs=inputs,
        clock=clock,
        configuration=resolved.to_dict(),
        overrides=resolved.overrides_applied,
        backend=result.backend,
        patterns=len(rec.indices),
        patterns_per_second=result.patterns_per_second,
        backend_timings_s=result.timings,
    )
    write_json(folder / RUN_FILE, record, overwrite=overwrite)
    click.echo(summary(folder, metrics, result.patterns_per_second, len(rec.indices)))
    return metrics
