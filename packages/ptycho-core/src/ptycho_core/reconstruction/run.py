"""A reconstruction with a trained network, from the file to results and the record of the run."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, field, frozen
from ptycho_config import InferenceConfig, Layer, Resolved, resolve_inference
from ptycho_data import Bundle, Scan
from ptycho_data.unwrapping import require_unwrapping

from ptycho_core.analysis.evaluation import reference_metrics
from ptycho_core.analysis.half_scans import HalfScanFRC
from ptycho_core.analysis.twin import note_twin
from ptycho_core.analysis.verdict import judge
from ptycho_core.backends import Backend, require
from ptycho_core.batch.finished import Request
from ptycho_core.cautions import check_scan, report
from ptycho_core.first_probe.search import GUESSED_PROBE
from ptycho_core.first_probe.sources import check_first_probe, probe_source
from ptycho_core.interrupts import Interrupts
from ptycho_core.memory import of_inference
from ptycho_core.models import AnyModel, OpenedModel, load_model, model_path
from ptycho_core.networks import trust_network
from ptycho_core.outputs import check_result_folder, config_files, held_folder
from ptycho_core.probe_choice import Probe, given_probe
from ptycho_core.progress.base import Progress, no_progress
from ptycho_core.reconstruction.probes import starting_probe
from ptycho_core.reconstruction.records import (
    asked_settings,
    inference_record,
    is_from_the_user,
)
from ptycho_core.reconstruction.work import Extras, NetworkWork
from ptycho_core.record import Inputs, Stopwatch, with_run
from ptycho_core.result_folder import write_result_folder
from ptycho_core.results import InferenceInterrupted, InferenceResult
from ptycho_core.run_settings import (
    AnyPath,
    is_path,
    log_settings,
    paths_in,
    read_scan,
    resolve_with_bundle,
)

__all__ = ["ReconstructionRun"]


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
    first_probe
        Where the probe comes from: see `ptycho_core.first_probe.sources`.
    extras
        Optional steps around the pass of the network.
    pictures
        Whether pictures are among the results.
    report
        Whether a report is among them.
    tiff
        Whether amplitude and phase are among them as TIFF.
    unwrap
        Whether pictures and report show the phase without jumps of 2 pi.
    overwrite
        Replace results.
    progress
        Progress display: see `ptycho_core.progress.base`.
    """

    layers: Sequence[Layer]
    model: AnyModel
    scan: Scan | AnyPath
    output: Path | None = None
    probe: Probe | None = None
    reading: Mapping[str, Any] = field(factory=dict)
    scan_index: int | None = None
    first_probe: str | None = None
    extras: Extras = field(factory=Extras)
    pictures: bool = True
    report: bool = True
    tiff: bool = False
    unwrap: bool = False
    overwrite: bool = False
    progress: Progress = no_progress
    clock: Stopwatch = field(factory=Stopwatch)

    @cached_property
    def _loaded(self) -> tuple[Bundle, dict[str, dict[str, Any]]]:
        """The trained network and the description of its file."""
        with self.clock.stage("load bundle"):
            return load_model(self.model, described=self.output is not None)

    @property
    def bundle(self) -> Bundle:
        """The trained network, read on first use."""
        return self._loaded[0]

    @cached_property
    def resolved(self) -> Resolved[InferenceConfig]:
        """The settings, with those of the bundle."""
        name = "" if (path := model_path(self.model)) is None else str(path)
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
        self._check_probe(resolve_inference(self.layers))
        self.check_output()
        self.check_settings()

    def check_settings(self) -> None:
        """Refuse settings that cannot work; the part of `check` that all scans have in common."""
        if self.unwrap:
            require_unwrapping()
        resolved = self.resolved
        self._check_probe(resolved)
        if is_from_the_user(resolved.origins["architecture"]):
            trust_network(resolved.config.model.architecture)
        self.backend.check_inference(resolved.config, resolved.execution)

    def _check_probe(self, resolved: Resolved[InferenceConfig]) -> None:
        given = self._probe_file(resolved) if self.probe is None else self.probe
        check_first_probe(self.first_probe, given)

    @property
    def processes(self) -> int:
        """Number of processes that reconstruct together."""
        return self.backend.processes(self.resolved.execution)

    def check_output(self, scan: Scan | None = None) -> None:
        """Refuse an output folder that cannot be written to, or holds results or inputs."""
        # Not of the bundle, which is read later: it decides the model alone.
        resolved = resolve_inference(self.layers)
        files = self._files(resolved).values()
        read = paths_in([model_path(self.model), self.scan, *files])
        check_result_folder(
            self.output,
            curve=self.extras.half_scan_frc,
            uncertainty=self.extras.uncertainty,
            tiff=self.tiff,
            overwrite=self.overwrite,
            inputs=[*read, *config_files(self.layers)],
            processes=resolved.execution.device_count,
            scan=scan,
        )

    def request(self) -> Request:
        """Say what the result is made from, without reading anything; for `is_done`."""
        asked = resolve_inference(self.layers)
        settings = asked_settings(asked)
        settings |= {name: value for name, value in asdict(self.extras).items() if value}
        settings |= self.reading
        if self.scan_index is not None:
            settings["scan_index"] = self.scan_index
        if self.first_probe is not None:
            settings["first_probe"] = self.first_probe
        files = self._files(asked)
        if (path := model_path(self.model)) is not None:
            files["model_path"] = path
        return Request(command="infer", inputs=files, settings=settings)

    def plan(self) -> list[str]:
        """Read and check the scan, and say what `run` would do; nothing is written."""
        resolved = self.resolved
        scan = self._read(resolved)
        check_scan(scan, but=self._answered)
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
        inputs = self._loaded[1]
        with self.clock.stage("read"):
            read = Inputs(self._files(resolved))
            scan = self._read(resolved)
            if self.output is not None:
                inputs = inputs | read.described()
        with self.clock.stage("check"):
            cautions = check_scan(scan, but=self._answered)
            self.check_output(scan)
        start = starting_probe(
            self.bundle,
            scan,
            given_probe(self.probe, self._probe_file(resolved), scan.N),
            first=self.first_probe,
            refining=self.extras.probe_before,
            clock=self.clock,
        )
        scan = start.scan
        cautions += start.cautions
        work = NetworkWork(
            bundle=self.bundle,
            resolved=resolved,
            probe=start.probe,
            extras=self.extras,
            progress=self.progress,
            clock=self.clock,
        )
        result = work.network(scan, "reconstructing")
        if not result.main_process:
            return result
        rec = result.reconstruction
        metrics: dict[str, Any] = {"r_factor": result.r_factor, **start.record}
        interrupts = Interrupts()
        refined = work.refined(rec, scan, interrupts)
        if refined is not None:
            rec = refined.reconstruction
            metrics |= {
                "r_factor": refined.r_factor,
                "r_factor_network": result.r_factor,
                "r_factors_refining": refined.r_factors,
            }
        with self.clock.stage("evaluate"):
            verdict = judge(rec, scan)
            metrics |= verdict.metrics
            doubts = verdict.cautions(network=refined is None, probed=bool(start.record))
            cautions += report(doubts)
            metrics |= reference_metrics(rec, scan)
        curve = None
        if self.extras.half_scan_frc:
            curve = work.halves(rec, scan, interrupts, refined=refined is not None)
            metrics["half_scan_frc"] = None if curve is None else curve.metrics
        if self.extras.uncertainty:
            sure = work.uncertainty(rec, scan, interrupts, refined=refined is not None)
            metrics["uncertainty"] = None if sure is None else sure.metrics
            rec = rec if sure is None else sure.reconstruction
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
        if refined is not None and self.extras.probe_after:
            note_twin(rec.probe)
        if self.output is not None:
            self._write(self.output, resolved, inputs, scan, result, curve)
        if interrupts.arrived:
            raise InferenceInterrupted(result)
        return result

    @property
    def _answered(self) -> tuple[str, ...]:
        """Codes of cautions whose advice this run follows."""
        return (GUESSED_PROBE,) if self.first_probe or self.extras.probe_before else ()

    def _read(self, resolved: Resolved[InferenceConfig]) -> Scan:
        """Return the scan, read from its file if it is not in memory."""
        domain, probe_file = resolved.config.domain, self._probe_file(resolved)
        scan = read_scan(self.scan, domain, probe_file, **self.reading)
        return scan.single(self.scan_index)

    def _probe_file(self, resolved: Resolved[InferenceConfig]) -> Path | None:
        """Return the file of the probe; one in memory replaces it."""
        return resolved.files.probe_file if self.probe is None else None

    def _files(self, resolved: Resolved[InferenceConfig]) -> dict[str, Path]:
        """Return scan and probe by role, those in memory left out."""
        files = {
            "test_data_file": resolved.files.test_data_file if is_path(self.scan) else None,
            "probe_file": self._probe_file(resolved),
            "first_probe": probe_source(self.first_probe).path if self.first_probe else None,
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
        method = f"network {resolved.config.model.architecture}"
        if (epochs := result.metrics.get("r_factors_refining")) is not None:
            method += f", {len(epochs)} epochs of the solver"
        record = inference_record(
            result,
            resolved,
            inputs=inputs,
            asked=self.request().settings,
            reading=self.reading,
            scan_index=self.scan_index,
            extras=self.extras,
            clock=self.clock,
        )
        write_result_folder(
            folder,
            with_run(result.reconstruction, record),
            scan,
            method=method,
            metrics=result.metrics,
            record=record,
            curve=curve,
            pictures=self.pictures,
            report=self.report,
            tiff=self.tiff,
            unwrap=self.unwrap,
            overwrite=self.overwrite,
            clock=self.clock,
        )
