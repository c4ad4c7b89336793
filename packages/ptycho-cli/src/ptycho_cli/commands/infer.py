"""``ptycho infer``: a bundle and a scan in, an object out."""

from pathlib import Path
from typing import Any

import click
from attrs import evolve, frozen
from ptycho_config import InferenceConfig, PyTorchExecutionConfig, Resolved, resolve_inference
from ptycho_core.backends import reconstructor
from ptycho_core.evaluation import reference_metrics
from ptycho_core.half_scans import Indices
from ptycho_core.refinement import RefinementResult, refine
from ptycho_core.results import InferenceResult
from ptycho_data import Bundle, Reconstruction, Scan, load_bundle, write_json, write_results

from ptycho_cli.console import counter, current_state, log
from ptycho_cli.errors import FAILED, sparing_results
from ptycho_cli.half_scan import CURVE_FILE, half_scan_metrics, resolution_summary
from ptycho_cli.layers import (
    INFERENCE_DEFAULTS,
    TRAINING_ONLY,
    Sources,
    check_settings,
    gather,
    of_bundle,
    read_scan,
    say_configuration,
)
from ptycho_cli.options import field_options
from ptycho_cli.outputs import output_folder
from ptycho_cli.record import RUN_FILE, Stopwatch, run_record
from ptycho_cli.results import OUTPUT_FILES, solver_progress, summary
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
@section("Refinement")(
    "--refine",
    "refine_steps",
    type=click.IntRange(min=0),
    default=0,
    metavar="STEPS",
    show_default="none",
    help="Polish the object with so many passes of the iterative solver.",
)
@section("Refinement")("--refine-probe", is_flag=True, help="Let the solver refine the probe too.")
@section("Refinement")(
    "--refine-positions", is_flag=True, help="Let the solver refine the positions too."
)
@section("Refinement")(
    "--half-scan-frc",
    is_flag=True,
    help="Reconstruct two halves of the patterns as well, and tell the resolution from them.",
)
@click.pass_context
def infer(
    ctx: click.Context,
    /,
    bundle: Path,
    scan: Path,
    output: Path,
    config_file: Path | None,
    overwrite: bool,
    refine_steps: int,
    refine_probe: bool,
    refine_positions: bool,
    half_scan_frc: bool,
    **_: Any,
) -> None:
    r"""Reconstruct SCAN with the trained network in BUNDLE (the file, or the folder that holds it).

    Writes reconstruction.npz, product.h5 (for ptychodus), pictures of amplitude and phase,
    metrics.json and run.json. All patterns are used unless a number is asked for.

    \b
    ptycho infer model scan.npz -o result
    ptycho infer model scan.npz -o result --refine 10 --half-scan-frc
    """
    if (refine_probe or refine_positions) and not refine_steps:
        msg = "--refine-probe and --refine-positions need --refine STEPS: it is the solver's work"
        raise click.UsageError(msg)
    fixed: dict[str, object] = {"model_path": bundle, "test_data_file": scan, "output_dir": output}
    if current_state().debug:
        fixed["debug"] = True
    sources = gather(ctx, InferenceConfig, config_file, fixed, INFERENCE_DEFAULTS)
    extras = Extras(
        refine_epochs=refine_steps,
        refine_probe=refine_probe,
        refine_positions=refine_positions,
        half_scan_frc=half_scan_frc,
    )
    run_inference(sources, overwrite=overwrite, extras=extras)


@frozen(kw_only=True)
class Extras:
    """What is done besides the network's pass.

    Attributes
    ----------
    refine_epochs
        Epochs of the solver after the network; 0 for none.
    refine_probe, refine_positions
        Whether the solver refines probe and positions too.
    half_scan_frc
        Whether both halves of the patterns are reconstructed too.
    """

    refine_epochs: int = 0
    refine_probe: bool = False
    refine_positions: bool = False
    half_scan_frc: bool = False


def run_inference(
    sources: Sources, *, overwrite: bool, extras: Extras | None = None
) -> dict[str, Any]:
    """Reconstruct as the sources say and write everything; see ``ptycho infer``.

    Parameters
    ----------
    sources
        All layers but that of the bundle, with ``model_path``, ``test_data_file`` and
        ``output_dir``.
    overwrite
        Replace results.
    extras
        What is done besides the network's pass; nothing if not given.

    Returns
    -------
    dict
        What ``metrics.json`` holds.
    """
    extras = extras or Extras()
    clock = Stopwatch()
    first = resolve_inference(sources.layers).config
    files = (*OUTPUT_FILES, CURVE_FILE) if extras.half_scan_frc else OUTPUT_FILES
    folder = output_folder(first.output_dir, files, overwrite=overwrite)
    with clock.stage("load bundle"):
        bundle = load_bundle(first.model_path)
    sources = of_bundle(sources, bundle, first.model_path)
    check = resolve_inference(sources.layers)
    check_settings(check.config.backend, "inference", check.execution)
    resolved = say_configuration(resolve_inference, sources)
    with clock.stage("read"):
        scan = read_scan(resolved.config.test_data_file, resolved.config)
    work = _Work(bundle, scan, resolved, extras, clock)
    result = work.network(scan, "reconstructing")
    if not result.main_process:
        return {}
    rec = result.reconstruction
    metrics: dict[str, Any] = {"r_factor": result.r_factor}
    refined = None
    with sparing_results("not refined, the results are the network's alone"):
        refined = work.polish(rec, scan)
    if refined is not None:
        if refined.photon_warning:
            log.warning("--refine: %s: the solver fits their noise", refined.photon_warning)
        rec = refined.reconstruction
        metrics = {
            "r_factor": refined.r_factor,
            "r_factor_network": result.r_factor,
            "r_factors_refining": refined.r_factors,
        }
    with clock.stage("evaluate"):
        metrics |= reference_metrics(rec, scan)
    if extras.half_scan_frc:
        metrics["half_scan_frc"] = work.half_scan(
            rec, folder, refined=refined is not None, overwrite=overwrite
        )
    write_results(
        folder,
        rec,
        metrics=metrics,
        photons=scan.nphotons,
        overwrite=overwrite,
        stage=clock.stage,
    )
    write_json(folder / RUN_FILE, work.record(result, metrics), overwrite=overwrite)
    click.echo(summary(folder, metrics, result.patterns_per_second, len(rec.indices)))
    if extras.half_scan_frc:
        click.echo(resolution_summary(metrics["half_scan_frc"]))
    if extras.refine_epochs and refined is None:
        # The network's results stand, but are not what was asked for: a script shall see it.
        raise click.exceptions.Exit(FAILED)
    return metrics


@frozen(eq=False)
class _Work:
    """One reconstruction, and those of its halves."""

    bundle: Bundle
    scan: Scan
    resolved: Resolved[InferenceConfig]
    extras: Extras
    clock: Stopwatch

    def network(self, scan: Scan, label: str, *, whole: bool = True) -> InferenceResult:
        """Let the backend reconstruct a scan: as configured, or all that there is of it."""
        config, execution = self.resolved.config, self.resolved.execution
        if not whole:
            config = evolve(config, n_groups=None, n_subsample=None)
            # Other processes ended with the whole scan: this one would wait for them in vain.
            execution = evolve(execution, devices=1, num_nodes=1, strategy="auto")
        backend = reconstructor(config.backend)
        with self.clock.stage("reconstruct" if whole else "half scans"), counter(label) as update:
            probe = None if config.probe_file is None else scan.probe
            return backend(self.bundle, scan, config, execution, probe=probe, progress=update)

    def polish(
        self, rec: Reconstruction, scan: Scan, stage: str = "refine"
    ) -> RefinementResult | None:
        """Refine a reconstruction by the solver, if that is requested."""
        epochs = self.extras.refine_epochs
        if not epochs:
            return None
        with self.clock.stage(stage), solver_progress(epochs, "refining") as callback:
            return refine(
                rec,
                scan,
                epochs=epochs,
                update_probe=self.extras.refine_probe,
                refine_positions=self.extras.refine_positions,
                nphotons=self.bundle.config.get("nphotons"),
                callback=callback,
            )

    def half_scan(
        self, rec: Reconstruction, folder: Path, *, refined: bool, overwrite: bool
    ) -> dict[str, Any] | None:
        """Compare reconstructions of two halves of the patterns used, made as the whole was."""

        def half(part: Indices) -> Reconstruction:
            scan = self.scan.select(rec.indices[part])
            made = self.network(scan, "half of the scan", whole=False)
            polished = self.polish(made.reconstruction, scan, "half scans") if refined else None
            return made.reconstruction if polished is None else polished.reconstruction

        return half_scan_metrics(
            rec.positions,
            half,
            folder,
            remove_ramp=refined and self.extras.refine_probe,
            overwrite=overwrite,
        )

    def record(self, result: InferenceResult, metrics: dict[str, Any]) -> dict[str, Any]:
        """Content of ``run.json``."""
        config, extras = self.resolved.config, self.extras
        inputs = {"model_path": config.model_path, "test_data_file": config.test_data_file}
        if config.probe_file is not None:
            inputs["probe_file"] = config.probe_file
        r_factors = {k: v for k, v in metrics.items() if k in ("r_factor", "r_factor_network")}
        failed = extras.refine_epochs > 0 and "r_factor_network" not in metrics
        return run_record(
            "infer",
            inputs=inputs,
            clock=self.clock,
            configuration=self.resolved.to_dict(),
            overrides=self.resolved.overrides_applied,
            backend=result.backend,
            patterns=len(result.reconstruction.indices),
            patterns_per_second=result.patterns_per_second,
            backend_timings_s=result.timings,
            refinement={
                "steps": extras.refine_epochs,
                "probe": extras.refine_probe,
                "positions": extras.refine_positions,
                **({"failed": True} if failed else {}),
            },
            **r_factors,
        )
