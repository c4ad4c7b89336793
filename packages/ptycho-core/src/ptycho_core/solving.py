"""Reconstruct a scan with the iterative solver in one call, without a network."""

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, field, frozen
from ptycho_config.errors import InvalidValueError
from ptycho_config.paths import expanded
from ptycho_data import Domain, Reconstruction, Scan, write_json, write_results
from ptycho_physics import Solution, solve

from ptycho_core.batch.finished import Request
from ptycho_core.cautions import Caution, check_scan, report
from ptycho_core.evaluation import reference_metrics
from ptycho_core.first_probe import GUESSED_PROBE
from ptycho_core.half_scans import HalfScanFRC, Indices, sparing_half_scan_frc, write_curve
from ptycho_core.memory import Estimate, of_solver
from ptycho_core.outputs import check_result_folder, held_folder
from ptycho_core.probe_sources import first_probe_of, probe_source
from ptycho_core.progress import Progress, log_to_stderr, no_progress, text_progress
from ptycho_core.record import ASKED, RUN_FILE, Inputs, Stopwatch, run_record, with_run
from ptycho_core.run_settings import AnyPath, is_path, read_scan
from ptycho_core.solutions import reconstruction_of
from ptycho_core.twin import note_twin
from ptycho_core.verdict import Verdict, judge, picture_caption

__all__ = ["SolverResult", "SolverRun", "reconstruction_of", "solve_scan"]

log = logging.getLogger(__name__)


@frozen(kw_only=True, eq=False)
class SolverResult:
    """A reconstruction by the solver.

    Attributes
    ----------
    reconstruction : Reconstruction
        With the refined probe and positions, if they were refined.
    r_factors : list of float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` during each epoch, before its updates.
    stopped : str
        "epochs" if all epochs were completed, "plateau" if the R-factor stopped falling.
    positions_moved_rms : float
        Root mean square displacement of the positions, in pixels; 0 if they were not refined.
    verdict : Verdict
        Comparison with photon noise.
    cautions : list of Caution
        Doubts about the scan and about the result.
    metrics : dict
        Figures of merit, as in ``metrics.json``.
    patterns_per_second : float
        Number of patterns divided by the time of the solver.
    path : Path or None
        Folder of the results; None if nothing was written.
    """

    reconstruction: Reconstruction
    r_factors: list[float]
    stopped: str
    positions_moved_rms: float
    verdict: Verdict
    cautions: list[Caution] = field(factory=list)
    metrics: dict[str, Any] = field(factory=dict)
    patterns_per_second: float
    path: Path | None = None

    @property
    def r_factor(self) -> float:
        """R-factor of the last epoch."""
        return self.r_factors[-1]


def solve_scan(
    scan: Scan | AnyPath,
    *,
    output: AnyPath | None = None,
    domain: Domain | None = None,
    probe_file: AnyPath | None = None,
    first_probe: str | None = None,
    scan_index: int | None = None,
    epochs: int = 20,
    nphotons: float | None = None,
    half_scan_frc: bool = False,
    pictures: bool = True,
    overwrite: bool = False,
    progress: bool = True,
    callback: Callable[[int, float], None] | None = None,
    **settings: Any,
) -> SolverResult:
    """Reconstruct a scan iteratively, starting from a uniform object.

    Does what ``ptycho reconstruct`` does, with the same defaults and the same records.

    Parameters
    ----------
    scan
        A scan, or a file of any known format.
    output
        Folder for the object, pictures, metrics and the record of the run. Without it nothing is
        written.
    domain
        ``counts`` or ``amplitude``, if the file does not state it.
    probe_file
        NPZ with ``probe`` or ``probeGuess``, which replaces the probe in the scan's file.
    first_probe
        Where the probe comes from instead: ``auto`` finds it from the patterns; see
        `ptycho_core.probe_sources` for files of other programs and optics.
    scan_index
        Which scan to reconstruct, if the file holds several; see `Scan.scan_index`.
    epochs
        Maximum number of passes over the patterns.
    nphotons
        Mean photons per pattern if the scan does not state it. It affects the verdict only, because
        the solver works on relative counts.
    half_scan_frc
        Whether to reconstruct two halves of the patterns too, for ``metrics["half_scan_frc"]``.
    pictures
        Whether pictures are among the files in the output folder.
    overwrite
        Replace existing results in the output folder.
    progress
        Show progress and log lines on standard error. A program that has configured `logging`
        gets the lines there.
    callback
        Called with (epoch counted from 1, its R-factor).
    **settings
        Further arguments of `ptycho_physics.solve`, e.g. ``update_probe``, ``refine_positions``,
        ``modes``, ``tolerance``, ``batch_size``, ``seed``.

    Raises
    ------
    ScanFormatError
        If the file is not a valid scan.
    UnusableScanError
        If no method can reconstruct the scan.
    OutputExistsError
        If the folder holds results, and `overwrite` is not set.
    InvalidValueError
        If all patterns are zero, settings contradict each other, or there are several scans and
        none is chosen.
    DivergenceError
        If the solver diverges.
    """
    run = SolverRun(
        scan=scan,
        output=None if output is None else expanded(output),
        reading={"domain": domain, "probe_file": None if probe_file is None else Path(probe_file)},
        first_probe=first_probe,
        scan_index=scan_index,
        settings={"epochs": epochs, **settings},
        nphotons=nphotons,
        half_scan_frc=half_scan_frc,
        pictures=pictures,
        overwrite=overwrite,
        progress=text_progress if progress else no_progress,
        callback=callback,
    )
    run.check()
    with log_to_stderr("ptycho_core") if progress else nullcontext():
        return run.run()


@frozen(kw_only=True, eq=False)
class SolverRun:
    """A prepared reconstruction by the solver: `check` it before any work, then `run` it.

    Attributes
    ----------
    scan
        A scan, or its file.
    output
        Folder to write to; None writes nothing.
    reading
        Arguments of `ptycho_core.run_settings.read_scan`, for a file.
    settings
        Arguments of `ptycho_physics.solve`, with ``epochs``.
    first_probe, scan_index, nphotons, half_scan_frc, pictures, overwrite, callback
        As for `solve_scan`.
    progress
        Progress display: see `ptycho_core.progress`.
    """

    scan: Scan | AnyPath
    output: Path | None = None
    reading: Mapping[str, Any] = field(factory=dict)
    first_probe: str | None = None
    scan_index: int | None = None
    settings: Mapping[str, Any]
    nphotons: float | None = None
    half_scan_frc: bool = False
    pictures: bool = True
    overwrite: bool = False
    progress: Progress = no_progress
    callback: Callable[[int, float], None] | None = None
    clock: Stopwatch = field(factory=Stopwatch)

    def check(self) -> None:
        """Refuse an output folder that cannot be written to, or holds results or inputs.

        Raises
        ------
        OutputExistsError, InvalidValueError, FolderInUseError, OSError
            As `ptycho_core.outputs.check_result_folder`; and for a text for the first probe that
            says nothing known.
        """
        if self.first_probe is not None:
            if self.reading.get("probe_file") is not None:
                rule = "given without probe_file, which it replaces"
                raise InvalidValueError("first_probe", rule, self.first_probe)
            probe_source(self.first_probe)
        self._check_output()

    def _check_output(self, scan: Scan | None = None) -> None:
        files = (self.scan, self.reading.get("probe_file"), self.reading.get("companion"))
        read = [expanded(path) for path in files if is_path(path)]  # type: ignore[arg-type]  # is_path says that it is one
        read += self.scan.files if isinstance(self.scan, Scan) else ()
        check_result_folder(
            self.output,
            curve=self.half_scan_frc,
            overwrite=self.overwrite,
            inputs=read,
            scan=scan,
        )

    def request(self) -> Request:
        """Say what the result is made from, without reading anything; for `is_done`."""
        more = {
            **self._stated(),
            "first_probe": self.first_probe,
            "scan_index": self.scan_index,
            "half_scan_frc": self.half_scan_frc or None,
        }
        settings = {**self.settings, **more}
        return Request(
            command="reconstruct",
            inputs=self._files(),
            settings={name: value for name, value in settings.items() if value is not None},
        )

    def run(self) -> SolverResult:
        """Reconstruct; errors as for `solve_scan`."""
        with held_folder(self.output):
            return self._run()

    def _run(self) -> SolverResult:
        with self.clock.stage("read"):
            inputs = Inputs(self._files())
            scan = read_scan(self.scan, **self.reading).single(self.scan_index)
            described = {} if self.output is None else inputs.described()
        with self.clock.stage("check"):
            answered = () if self.first_probe is None else (GUESSED_PROBE,)
            cautions = check_scan(scan, but=answered)
            self._check_output(scan)
        found = None
        if self.first_probe is not None:
            with self.clock.stage("first probe"):
                found = first_probe_of(scan, self.first_probe)
            log.info("%s", found.describe())
            scan = evolve(scan, probe=found.probe, probe_made=False)
            cautions += report(found.cautions, f"{scan.label}: ")
        self._memory(scan).require(
            "scan", "reconstruct with a network, whose patterns stay on disk, or use fewer patterns"
        )
        with self.clock.stage("solve"):
            solution = self._solve(scan, "solving")
        rec = reconstruction_of(solution, scan)
        with self.clock.stage("evaluate"):
            verdict = judge(rec, scan, self.nphotons)
            cautions += report(verdict.cautions())
            metrics = {"r_factor": solution.r_factors[-1], **reference_metrics(rec, scan)}
        metrics |= {
            **verdict.metrics,
            "r_factors": solution.r_factors,
            "stopped": solution.stopped,
        }
        if found is not None:
            metrics["first_probe"] = found.record
        moved = float(np.sqrt(np.mean((solution.positions - scan.positions) ** 2)))
        if self.settings.get("refine_positions"):
            metrics["positions_moved_rms"] = moved
        curve = None
        if self.half_scan_frc:
            curve = self._half_scans(scan)
            metrics["half_scan_frc"] = None if curve is None else curve.metrics
        result = SolverResult(
            reconstruction=rec,
            r_factors=solution.r_factors,
            stopped=solution.stopped,
            positions_moved_rms=moved,
            verdict=verdict,
            cautions=cautions,
            metrics=metrics,
            patterns_per_second=scan.n / self.clock.seconds["solve"],
        )
        if self.settings.get("update_probe"):
            note_twin(rec.probe)
        return (
            result
            if self.output is None
            else self._written(self.output, scan, result, described, curve)
        )

    def plan(self) -> list[str]:
        """Read and check the scan, and say what `run` would do; nothing is written."""
        scan = read_scan(self.scan, **self.reading).single(self.scan_index)
        check_scan(scan)
        todo = f"{scan.n} patterns of {scan.N} pixels, {self.settings['epochs']} epochs"
        return [todo, *self._memory(scan).lines()]

    def _memory(self, scan: Scan) -> Estimate:
        settings = {key: self.settings.get(key) for key in ("batch_size", "modes")}
        return of_solver(scan, batch_size=settings["batch_size"] or 16, modes=settings["modes"])

    def _solve(self, scan: Scan, label: str) -> Solution:
        """Run the solver on all patterns of a scan."""
        epochs = self.settings["epochs"]
        with self.progress(epochs, label) as update:

            def follow(epoch: int, r_factor: float) -> None:
                update(epoch, f"R-factor {r_factor:.4f}")
                if self.callback is not None:
                    self.callback(epoch, r_factor)

            return solve(
                scan.counts(nphotons=self.nphotons or 1.0),
                scan.positions,
                scan.probe,
                mask=scan.bad_pixels,
                callback=follow,
                **self.settings,
            )

    def _half_scans(self, scan: Scan) -> HalfScanFRC | None:
        """Compare reconstructions of two halves of the patterns, made like the whole."""

        def half(part: Indices) -> Reconstruction:
            patterns = scan.select(part)
            return reconstruction_of(self._solve(patterns, "half of the scan"), patterns)

        with self.clock.stage("half scans"):
            return sparing_half_scan_frc(
                scan.positions, half, remove_ramp=bool(self.settings.get("update_probe"))
            )

    def _stated(self) -> dict[str, Any]:
        """Return what was given about the file, but for other files."""
        files = ("probe_file", "companion")
        stated = {name: value for name, value in self.reading.items() if name not in files}
        return {name: value for name, value in stated.items() if value is not None}

    def _files(self) -> dict[str, Path]:
        """Return the input files by role; a scan in memory has none."""
        files = {"scan": self.scan, "probe_file": self.reading.get("probe_file")}
        return {role: Path(path) for role, path in files.items() if is_path(path)}  # type: ignore[arg-type]  # is_path says that it is one

    def _written(
        self,
        folder: Path,
        scan: Scan,
        result: SolverResult,
        inputs: Mapping[str, Mapping[str, Any]],
        curve: HalfScanFRC | None,
    ) -> SolverResult:
        """Write results and the record of the run."""
        epochs = len(result.r_factors)
        record = run_record(
            "reconstruct",
            inputs=inputs,
            clock=self.clock,
            configuration={
                **self.settings,
                **self._stated(),
                "first_probe": self.first_probe,
                "domain": scan.domain,
                "scan_index": self.scan_index,
            },
            **{ASKED: self.request().settings},
            backend="numpy",
            patterns=scan.n,
            patterns_per_second=result.patterns_per_second,
            cautions=[caution.to_dict() for caution in result.cautions],
            r_factor=result.metrics["r_factor"],
            r_over_noise=result.metrics["r_over_noise"],
        )
        result = evolve(result, reconstruction=with_run(result.reconstruction, record))

        def also(place: Path) -> None:
            write_curve(curve if self.pictures else None, place)
            record["timings_s"] = self.clock.rounded()
            write_json(place / RUN_FILE, record)

        write_results(
            folder,
            result.reconstruction,
            metrics=result.metrics,
            caption=picture_caption(scan, result.metrics, scan.n, f"solver, {epochs} epochs"),
            pictures=self.pictures,
            overwrite=self.overwrite,
            stage=self.clock.stage,
            also=also,
        )
        return evolve(result, path=folder)
