"""Reconstruct a scan with a trained network in one call: from settings to results and records."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from attrs import asdict, evolve, field, frozen
from ptycho_config import InferenceConfig, Layer, Resolved, option_specs, resolve_inference
from ptycho_config.paths import expanded
from ptycho_data import (
    Bundle,
    Reconstruction,
    Scan,
    load_bundle,
    write_json,
    write_results,
)

from ptycho_core.analysis.evaluation import reference_metrics
from ptycho_core.analysis.half_scans import HalfScanFRC, Indices, sparing_half_scan_frc, write_curve
from ptycho_core.analysis.twin import note_twin
from ptycho_core.analysis.verdict import judge, picture_caption
from ptycho_core.backends import Backend, require
from ptycho_core.batch.finished import NOT_REFINED, Request
from ptycho_core.cautions import check_scan, report
from ptycho_core.interrupts import Interrupts
from ptycho_core.memory import of_inference
from ptycho_core.networks import trust_network
from ptycho_core.outputs import check_result_folder, config_files, held_folder
from ptycho_core.progress.base import Progress, counter, log_to_stderr, no_progress, show_progress
from ptycho_core.record import ASKED, RUN_FILE, Inputs, Stopwatch, run_record, with_run
from ptycho_core.refinement import RefinementResult, refine
from ptycho_core.results import InferenceInterrupted, InferenceResult
from ptycho_core.run_settings import (
    AnyPath,
    call_layers,
    is_path,
    log_settings,
    read_scan,
    resolve_with_bundle,
)
from ptycho_core.sparing import sparing_results
from ptycho_core.training import Probe, TrainedModel, given_probe

__all__ = ["Extras", "OpenedModel", "ReconstructionRun", "reconstruct"]

log = logging.getLogger(__name__)

#: Figures of merit that the record of a run repeats, which travels with the results.
RECORDED = ("r_factor", "r_factor_network", "r_over_noise", "stopped")

#: Origins of settings that the caller chose, not the bundle.
_FROM_THE_USER = ("override", "execution", "command line", "config file")

#: Settings that change the result; the other ones of the execution say how it is computed.
_OF_THE_RESULT = {spec.name for spec in option_specs(InferenceConfig)} - {"debug"}
_OF_THE_RESULT |= {"precision", "middle_trim", "pad_eval"}


@frozen(eq=False)
class OpenedModel:
    """A trained network that is read once, for many scans, by a caller that logs the settings.

    Attributes
    ----------
    path : Path
        The bundle's file, or its folder.
    bundle : Bundle
    described : dict
        Its entry among the inputs in the record of a run.
    """

    path: Path
    bundle: Bundle
    described: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: AnyPath) -> Self:
        """Read a model; errors as of `ptycho_data.load_bundle`."""
        read = Inputs({"model_path": Path(path)})
        bundle = load_bundle(path)
        return cls(Path(path), bundle, read.described())


@frozen(kw_only=True)
class Extras:
    """Optional steps after the pass of the network.

    Attributes
    ----------
    refine
        Epochs of the iterative solver after the network; 0 for none.
    refine_probe, refine_positions
        Whether the solver refines probe and positions too.
    half_scan_frc
        Whether two halves of the patterns are reconstructed too, to estimate the resolution.
    """

    refine: int = 0
    refine_probe: bool = False
    refine_positions: bool = False
    half_scan_frc: bool = False


def reconstruct(
    model: TrainedModel | Bundle | AnyPath,
    scan: Scan | AnyPath,
    *,
    output: AnyPath | None = None,
    probe: Probe | AnyPath | None = None,
    config_file: AnyPath | None = None,
    scan_index: int | None = None,
    refine: int = 0,
    refine_probe: bool = False,
    refine_positions: bool = False,
    half_scan_frc: bool = False,
    pictures: bool = True,
    overwrite: bool = False,
    progress: bool = True,
    **settings: Any,
) -> InferenceResult:
    """Reconstruct the object of a scan with a trained network.

    Does what ``ptycho infer`` does, with the same defaults and the same records.

    Parameters
    ----------
    model
        Result of `ptycho_core.train`, a bundle, or a bundle's file or folder.
    scan
        Scan to reconstruct, or its file.
    output
        Folder for the object, pictures, metrics and the record of the run. Without it nothing is
        written.
    probe
        Probe modes (M, N, N), or one (N, N), or an NPZ file with them. Default: the bundle's or the
        scan's, see `ptycho_core.probe_choice`.
    config_file
        Settings in TOML, YAML or JSON; those given by keyword take precedence.
    scan_index
        Which scan to reconstruct, if the file holds several; see `Scan.scan_index`.
    refine
        Epochs of the iterative solver, which start from the network's object.
    refine_probe, refine_positions
        Whether the solver refines the probe and the positions too.
    half_scan_frc
        Whether to reconstruct two halves of the patterns too, for ``metrics["half_scan_frc"]``.
    pictures
        Whether pictures are among the files in the output folder.
    overwrite
        Replace existing results in the output folder.
    progress
        Show progress and log lines on standard error. A program that has configured `logging`
        gets the lines there.
    settings
        Any setting of the inference and the execution by its name: ``n_groups=512``.

    Returns
    -------
    InferenceResult
        With ``object``, ``coverage``, ``reconstruction`` and ``metrics``, among others.

    Raises
    ------
    ConfigError
        With all settings that do not exist, break a rule, or contradict the model.
    InvalidValueError
        Settings, scan, bundle and backend do not match each other.
    MissingPackageError
        The backend is not installed; the message has the pip command.
    BundleError, ScanFormatError
        A file does not hold an intact bundle, or a valid scan.
    UnusableScanError
        No method can reconstruct the scan.
    OutputExistsError
        The folder holds results, and `overwrite` is not set.
    InferenceInterrupted
        After Ctrl-C or SIGTERM during a step after the network, with the result so far.
    """
    arguments = {
        "model_path": model,
        "test_data_file": scan,
        "probe_file": probe,
        "output_dir": output,
    }
    run = ReconstructionRun(
        layers=call_layers(settings, arguments, config_file),
        model=model,
        scan=scan,
        output=None if output is None else expanded(output),
        probe=None if probe is None or is_path(probe) else np.asarray(probe),
        scan_index=scan_index,
        extras=Extras(
            refine=refine,
            refine_probe=refine_probe,
            refine_positions=refine_positions,
            half_scan_frc=half_scan_frc,
        ),
        pictures=pictures,
        overwrite=overwrite,
        progress=show_progress if progress else no_progress,
    )
    run.check()
    with log_to_stderr("ptycho_core", run.backend.package) if progress else nullcontext():
        return run.run()


@frozen(kw_only=True, eq=False)
class ReconstructionRun:
    """A prepared reconstruction: `check` it before any work, then `run` it.

    Attributes
    ----------
    layers
        Sources of settings other than the bundle. They may name the file of the probe.
    model, scan
        A trained network and a scan, or their files. An `OpenedModel` serves several runs.
    output
        Folder to write to; None writes nothing.
    probe
        Probe in memory, if it is not in a file.
    reading
        Further arguments of `ptycho_data.load_scan`, for a file.
    scan_index
        Which scan to reconstruct, if the file holds several.
    extras
        Optional steps after the pass of the network.
    pictures
        Whether pictures are among the results.
    overwrite
        Replace results.
    progress
        Progress display: see `ptycho_core.progress.base`.
    """

    layers: Sequence[Layer]
    model: TrainedModel | Bundle | OpenedModel | AnyPath
    scan: Scan | AnyPath
    output: Path | None = None
    probe: Probe | None = None
    reading: Mapping[str, Any] = field(factory=dict)
    scan_index: int | None = None
    extras: Extras = field(factory=Extras)
    pictures: bool = True
    overwrite: bool = False
    progress: Progress = no_progress
    clock: Stopwatch = field(factory=Stopwatch)

    @cached_property
    def _loaded(self) -> tuple[Bundle, dict[str, dict[str, Any]]]:
        """The trained network and the description of its file."""
        with self.clock.stage("load bundle"):
            if isinstance(self.model, OpenedModel):
                return self.model.bundle, self.model.described
            if isinstance(self.model, Bundle):
                return self.model, {}
            if isinstance(self.model, TrainedModel):
                return self.model.bundle, {}
            if self.output is None:
                return load_bundle(self.model), {}
            opened = OpenedModel.read(self.model)
            return opened.bundle, opened.described

    @property
    def _model_path(self) -> Path | None:
        if isinstance(self.model, OpenedModel):
            return self.model.path
        return None if isinstance(self.model, TrainedModel | Bundle) else expanded(self.model)

    @property
    def bundle(self) -> Bundle:
        """The trained network, read on first use."""
        return self._loaded[0]

    @cached_property
    def resolved(self) -> Resolved[InferenceConfig]:
        """The settings, with those of the bundle."""
        name = "" if self._model_path is None else str(self._model_path)
        return resolve_with_bundle(self.layers, self.bundle, name)

    @property
    def backend(self) -> Backend:
        """Backend that runs the network."""
        return require(self.resolved.config.backend)

    def check(self) -> None:
        """Refuse settings that cannot work, without looking at the scan.

        Raises
        ------
        ConfigError
            With all settings that do not exist, break a rule, or contradict the model.
        OutputExistsError, FolderInUseError, OSError
            As `ptycho_core.outputs.check_result_folder`.
        InvalidValueError
            The backend does not support a setting, or results would replace other files.
        MissingPackageError
            The backend, or a package that a setting needs, is not installed.
        """
        resolve_inference(self.layers)
        self.check_output()
        self.check_settings()

    def check_settings(self) -> None:
        """Refuse settings that cannot work; the part of `check` that all scans have in common."""
        resolved = self.resolved
        if resolved.origins["architecture"] in _FROM_THE_USER:
            trust_network(resolved.config.model.architecture)
        self.backend.check_inference(resolved.config, resolved.execution)

    @property
    def processes(self) -> int:
        """Number of processes that reconstruct together."""
        return self.backend.processes(self.resolved.execution)

    def check_output(self, scan: Scan | None = None) -> None:
        """Refuse an output folder that cannot be written to, or holds results or inputs."""
        # Not of the bundle, which is read later: it decides the model alone.
        resolved = resolve_inference(self.layers)
        files = resolved.files
        read = [self._model_path, self.scan, files.probe_file if self.probe is None else None]
        paths = [expanded(path) for path in read if is_path(path)]  # type: ignore[arg-type]  # is_path says that it is one
        paths += self.scan.files if isinstance(self.scan, Scan) else ()
        check_result_folder(
            self.output,
            curve=self.extras.half_scan_frc,
            overwrite=self.overwrite,
            inputs=[*paths, *config_files(self.layers)],
            processes=resolved.execution.device_count,
            scan=scan,
        )

    def request(self) -> Request:
        """Say what the result is made from, without reading anything; for `is_done`."""
        asked = resolve_inference(self.layers)
        settings = {
            name: entry["value"]
            for name, entry in asked.overrides_applied.items()
            if name in _OF_THE_RESULT and entry["origin"] in _FROM_THE_USER
        }
        settings |= {name: value for name, value in asdict(self.extras).items() if value}
        settings |= self.reading
        if self.scan_index is not None:
            settings["scan_index"] = self.scan_index
        files = self._files(asked)
        if self._model_path is not None:
            files["model_path"] = self._model_path
        return Request(command="infer", inputs=files, settings=settings)

    def plan(self) -> list[str]:
        """Read and check the scan, and say what `run` would do; nothing is written."""
        resolved = self.resolved
        probe_file = resolved.files.probe_file if self.probe is None else None
        scan = read_scan(self.scan, resolved.config.domain, probe_file, **self.reading)
        scan = scan.single(self.scan_index)
        check_scan(scan)
        config = resolved.config
        todo = (
            f"{scan.n} patterns of {scan.N} pixels, {config.model.architecture} with "
            f"{config.backend}"
        )
        memory = of_inference(self.bundle, scan, resolved.execution, config.backend)
        return [todo, *memory.lines()]

    def run(self) -> InferenceResult:
        """Reconstruct; errors as for `reconstruct`."""
        with held_folder(self.output, self.processes):
            return self._run()

    def _run(self) -> InferenceResult:
        resolved = self.resolved
        if not isinstance(self.model, OpenedModel):  # else once for all scans
            log_settings(resolved)
        probe_file = resolved.files.probe_file if self.probe is None else None
        inputs = self._loaded[1]
        with self.clock.stage("read"):
            read = Inputs(self._files(resolved))
            scan = read_scan(self.scan, resolved.config.domain, probe_file, **self.reading)
            scan = scan.single(self.scan_index)
            if self.output is not None:
                inputs = inputs | read.described()
        with self.clock.stage("check"):
            cautions = check_scan(scan)
            self.check_output(scan)
        work = _Work(self, resolved, scan, given_probe(self.probe, probe_file, scan.N))
        result = work.network(scan, "reconstructing")
        if not result.main_process:
            return result
        rec = result.reconstruction
        metrics: dict[str, Any] = {"r_factor": result.r_factor}
        refined, interrupts = None, Interrupts()
        with (
            interrupts.watch(),
            sparing_results(NOT_REFINED),
        ):
            refined = work.refine(rec, scan, stop=lambda: interrupts.arrived)
        if refined is not None and not refined.r_factors:  # interrupted in the first epoch
            refined = None
        if refined is not None:
            if refined.photon_warning:
                log.warning("refining: %s: the solver fits their noise", refined.photon_warning)
            rec = refined.reconstruction
            metrics = {
                "r_factor": refined.r_factor,
                "r_factor_network": result.r_factor,
                "r_factors_refining": refined.r_factors,
            }
        with self.clock.stage("evaluate"):
            verdict = judge(rec, scan)
            metrics |= verdict.metrics
            cautions += report(verdict.cautions(network=refined is None))
            metrics |= reference_metrics(rec, scan)
        curve = None
        if self.extras.half_scan_frc:
            try:
                if not interrupts.arrived:
                    curve = work.half_scans(rec, refined=refined is not None)
            except KeyboardInterrupt:
                interrupts.arrived = True
            metrics["half_scan_frc"] = None if curve is None else curve.metrics
        if interrupts.arrived:
            metrics["stopped"] = "interrupted"
        result = evolve(
            result,
            reconstruction=rec,
            r_factor=metrics["r_factor"],
            metrics=metrics,
            path=self.output,
            verdict=verdict,
            cautions=cautions,
        )
        if refined is not None and self.extras.refine_probe:
            note_twin(rec.probe)
        if self.output is not None:
            self._write(self.output, resolved, inputs, scan, result, curve)
        if interrupts.arrived:
            raise InferenceInterrupted(result)
        return result

    def _files(self, resolved: Resolved[InferenceConfig]) -> dict[str, Path]:
        """Return scan and probe by role, those in memory left out."""
        files = {
            "test_data_file": resolved.files.test_data_file if is_path(self.scan) else None,
            "probe_file": None if self.probe is not None else resolved.files.probe_file,
        }
        return {role: path for role, path in files.items() if path is not None}

    def _write(
        self,
        folder: Path,
        resolved: Resolved[InferenceConfig],
        inputs: Mapping[str, Mapping[str, Any]],
        scan: Scan,
        result: InferenceResult,
        curve: HalfScanFRC | None,
    ) -> None:
        metrics, extras = result.metrics, self.extras
        patterns = len(result.reconstruction.indices)
        refined = "r_factor_network" in metrics
        method = resolved.config.model.architecture
        if refined:
            method += f", {len(metrics['r_factors_refining'])} epochs of the solver"
        failed = extras.refine > 0 and not refined
        record = run_record(
            "infer",
            inputs=inputs,
            clock=self.clock,
            configuration=resolved.to_dict(),
            overrides=resolved.overrides_applied,
            **{ASKED: self.request().settings},
            **({"reading": dict(self.reading)} if self.reading else {}),
            scan_index=self.scan_index,
            backend=result.backend,
            patterns=patterns,
            patterns_per_second=result.patterns_per_second,
            backend_timings_s=result.timings,
            refinement={
                "steps": extras.refine,
                "probe": extras.refine_probe,
                "positions": extras.refine_positions,
                **({"failed": True} if failed else {}),
            },
            cautions=[caution.to_dict() for caution in result.cautions],
            **{k: v for k, v in metrics.items() if k in RECORDED},
        )

        def also(place: Path) -> None:
            write_curve(curve if self.pictures else None, place)
            record["timings_s"] = self.clock.rounded()
            write_json(place / RUN_FILE, record)

        write_results(
            folder,
            with_run(result.reconstruction, record),
            metrics=metrics,
            caption=picture_caption(scan, metrics, patterns, f"network {method}"),
            pictures=self.pictures,
            overwrite=self.overwrite,
            stage=self.clock.stage,
            also=also,
        )


@frozen(eq=False)
class _Work:
    """The passes of one reconstruction, over the whole scan and over its halves."""

    run: ReconstructionRun
    resolved: Resolved[InferenceConfig]
    scan: Scan
    probe: Any

    def network(self, scan: Scan, label: str, *, whole: bool = True) -> InferenceResult:
        """Reconstruct a scan with the backend: as configured, or with all of its patterns."""
        run, config, execution = self.run, self.resolved.config, self.resolved.execution
        if not whole:
            config = evolve(config, n_groups=None, n_subsample=None)
            # Other processes have finished after the whole scan: do not wait for them.
            execution = evolve(execution, devices=1, num_nodes=1, strategy="auto")
        stage = "reconstruct" if whole else "half scans"
        with run.clock.stage(stage), counter(run.progress, label) as update:
            return run.backend.reconstruct(
                run.bundle, scan, config, execution, probe=self.probe, progress=update
            )

    def refine(
        self,
        rec: Reconstruction,
        scan: Scan,
        stage: str = "refine",
        stop: Callable[[], bool] = lambda: False,
    ) -> RefinementResult | None:
        """Refine a reconstruction with the solver, if requested."""
        run, epochs = self.run, self.run.extras.refine
        if not epochs:
            return None
        with run.clock.stage(stage), run.progress(epochs, "refining") as update:
            return refine(
                rec,
                scan,
                epochs=epochs,
                update_probe=run.extras.refine_probe,
                refine_positions=run.extras.refine_positions,
                nphotons=run.bundle.config.get("nphotons"),
                callback=lambda epoch, r_factor: update(epoch, f"R-factor {r_factor:.4f}"),
                stop=stop,
            )

    def half_scans(self, rec: Reconstruction, *, refined: bool) -> HalfScanFRC | None:
        """Compare reconstructions of two halves of the patterns, made like the whole."""
        run = self.run

        def half(part: Indices) -> Reconstruction:
            scan = self.scan.select(rec.indices[part])
            made = self.network(scan, "half of the scan", whole=False).reconstruction
            better = self.refine(made, scan, "half scans") if refined else None
            return made if better is None else better.reconstruction

        return sparing_half_scan_frc(
            rec.positions, half, remove_ramp=refined and run.extras.refine_probe
        )
