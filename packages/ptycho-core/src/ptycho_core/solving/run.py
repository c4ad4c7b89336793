"""A run of the iterative solver on a scan, from the file to results and the record of the run."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe
from ptycho_data import Scan
from ptycho_data.unwrapping import require_unwrapping
from ptycho_physics import Solution, State, near_field_border, path_points

from ptycho_core.analysis.evaluation import reference_metrics
from ptycho_core.analysis.half_scans import HalfScanFRC
from ptycho_core.analysis.twin import note_twin
from ptycho_core.analysis.verdict import Verdict, describe_fit, judge
from ptycho_core.batch.finished import Request
from ptycho_core.cautions import check_scan, report
from ptycho_core.cautions.light import NEAR_FIELD
from ptycho_core.first_probe.search import GUESSED_PROBE
from ptycho_core.first_probe.sources import (
    check_first_probe,
    probe_source,
    with_first_probe,
)
from ptycho_core.fitted import Fitted
from ptycho_core.interrupts import Interrupts
from ptycho_core.live_page import Publisher
from ptycho_core.memory import Estimate, of_solver
from ptycho_core.models import is_model
from ptycho_core.outputs import (
    CHECKPOINT_FILE,
    check_result_folder,
    held_folder,
    refuse_checkpoint,
)
from ptycho_core.progress.base import Progress, no_progress
from ptycho_core.record import ASKED, Inputs, Stopwatch, run_record, with_run
from ptycho_core.result_folder import write_result_folder
from ptycho_core.run_settings import AnyPath, is_path, paths_in, read_scan
from ptycho_core.sample_optics import SampleOptics, check_optics
from ptycho_core.solving.attended import Attendance
from ptycho_core.solving.checkpoint import SolverCheckpoint, solver_identity
from ptycho_core.solving.devices import Devices
from ptycho_core.solving.fly_scan import check_fly_scan, path_of
from ptycho_core.solving.network_start import network_start
from ptycho_core.solving.place import Place, solver_place
from ptycho_core.solving.results import SolverInterrupted, SolverResult
from ptycho_core.solving.shown import ShownSolver
from ptycho_core.solving.solutions import reconstruction_of
from ptycho_core.solving.warm_start import WarmStart, warm_start
from ptycho_core.solving.wide_probe import wide_probe
from ptycho_core.solving.work import SolverWork

__all__ = ["SolverRun"]

log = logging.getLogger(__name__)


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
        Arguments of `ptycho_physics.solve`, with ``epochs``; near field and slices as in
        `solve_scan`.
    first_probe, start, scan_index, auto, max_time, nphotons, half_scan_frc,
    uncertainty, pictures, report, tiff, unwrap, resume, overwrite, callback
        As for `solve_scan`.
    devices : Devices
        Where to solve.
    progress
        Progress display: see `ptycho_core.progress.base`.
    page : Publisher
        Live page that the run is shown on.
    """

    scan: Scan | AnyPath
    output: Path | None = None
    reading: Mapping[str, Any] = field(factory=dict)
    first_probe: str | None = None
    start: Path | None = None
    scan_index: int | None = None
    settings: Mapping[str, Any]
    auto: bool = False
    devices: Devices = Devices()
    max_time: float | None = None
    nphotons: float | None = None
    half_scan_frc: bool = False
    uncertainty: bool = False
    pictures: bool = True
    report: bool = True
    tiff: bool = False
    unwrap: bool = False
    resume: bool = False
    overwrite: bool = False
    progress: Progress = no_progress
    callback: Callable[[int, float], None] | None = None
    page: Publisher = field(factory=Publisher)
    clock: Stopwatch = field(factory=Stopwatch)

    def check(self) -> None:
        """Refuse settings that cannot work, and an output folder that holds results or inputs.

        Raises
        ------
        OutputExistsError, InvalidValueError, FolderInUseError, OSError
            As `ptycho_core.outputs.check_result_folder`; and for a text for the first probe that
            says nothing known, an accelerator that does not exist, or nowhere to resume from.
        MissingPackageError
            If the accelerator needs PyTorch, or unwrapping scikit-image, and it is not installed.
        """
        self.check_settings()
        self.check_output()

    def check_settings(self) -> None:
        """Refuse settings that cannot work; the part of `check` that all scans have in common."""
        if self.unwrap:
            require_unwrapping()
        check_first_probe(self.first_probe, self.reading.get("probe_file"))
        self.devices.check()
        check_optics(self.settings, auto=self.auto)
        check_fly_scan(self.settings)
        epochs = self.settings["epochs"]
        if not isinstance(epochs, int) or epochs < 1:
            raise InvalidValueError("epochs", "a whole number >= 1", describe(epochs))
        if self.max_time is not None and not self.max_time > 0:
            raise InvalidValueError("max_time", "minutes > 0", f"{self.max_time}")
        if self.resume and self.output is None:
            raise InvalidValueError("output", "the folder to resume from", "none")

    @property
    def _checkpoint(self) -> Path | None:
        """The checkpoint file of this run, where results are written."""
        return None if self.output is None else self.output / CHECKPOINT_FILE

    @property
    def _replaces(self) -> bool:
        """Whether results in the folder are replaced: those of the run that is resumed are."""
        path = self._checkpoint
        return self.overwrite or (self.resume and path is not None and path.exists())

    def check_output(self, scan: Scan | None = None) -> None:
        """Refuse an output folder that cannot be written to, or holds results or inputs."""
        if not self._replaces:
            refuse_checkpoint(self.output)
        check_result_folder(
            self.output,
            curve=self.half_scan_frc,
            uncertainty=self.uncertainty,
            tiff=self.tiff,
            overwrite=self._replaces,
            inputs=paths_in([self.scan, *self._files().values()]),
            processes=self.processes,
            scan=scan,
        )

    @property
    def processes(self) -> int:
        """Number of processes that solve together."""
        return self.devices.number

    def request(self) -> Request:
        """Say what the result is made from, without reading anything; for `is_done`."""
        more = {
            **self._stated(),
            "first_probe": self.first_probe,
            "scan_index": self.scan_index,
            "half_scan_frc": self.half_scan_frc or None,
            "uncertainty": self.uncertainty or None,
            "auto": self.auto or None,
        }
        settings = {**self.settings, **more}
        return Request(
            command="reconstruct",
            inputs=self._files(),
            settings={name: value for name, value in settings.items() if value is not None},
        )

    def on(self, page: Publisher) -> Self:
        """Return this run, to be shown on a page."""
        self.clock.told = page.stage
        return evolve(self, page=page)

    def run(self) -> SolverResult:
        """Reconstruct; errors as for `solve_scan`."""
        with self.page.ending(), held_folder(self.output, self.processes):
            return self._run()

    def _run(self) -> SolverResult:
        begun = time.monotonic()
        with self.clock.stage("read"):
            inputs = Inputs(self._files())
            scan = self._read()
            described = {} if self.output is None else inputs.described()
        path = path_of(self.settings, scan)
        self._begin_page(scan)
        with self.clock.stage("check"):
            answered = (GUESSED_PROBE,) if self.first_probe or self.start else ()
            if self.settings.get("near_field") is not None:
                answered = (*answered, NEAR_FIELD)
            cautions = check_scan(scan, but=answered)
            self.check_output(scan)
        place, found = self._place(scan), None
        judged = self._judged_first_probe
        if judged is not None:  # before a network, which needs the right one
            with self.clock.stage("first probe"):
                scan, found, doubts = with_first_probe(scan, judged)
            cautions += doubts
        start, scan = self._started(scan)
        probe = self._wide_probe(scan, start)
        checkpoint, state = self._saved(scan, start, probe)
        optics = SampleOptics.of(self.settings, scan)
        self._memory(scan, place.backend).require(
            "scan", "reconstruct with a network, whose patterns stay on disk, or use fewer patterns"
        )
        interrupts = Interrupts()
        attendance = Attendance(
            interrupts=interrupts,
            deadline=None if self.max_time is None else begun + 60 * self.max_time,
            checkpoint=checkpoint if place.first else None,
            processes=place.processes,
        )
        for caution in cautions:
            self.page.caution(caution.text)
        work = evolve(self._work(place, attendance, optics, path), probe=probe)
        ladder = None
        if self.auto:
            with self.clock.stage("auto"):
                ladder = work.ladder(scan)
            log.info("auto: %s", ladder.verdict())
            work = evolve(work, settings={**self.settings, **ladder.settings})
        shown = self._shown(scan, work.settings, optics)
        work = evolve(work, shown=shown if self.page.is_watched else None)
        with self.clock.stage("solve"), interrupts.watch():
            solution = work.whole(scan, None if start is None else start.reconstruction, state)
        stopped = attendance.stopped or solution.stopped
        if not solution.r_factors:
            rest = "continue with --resume" if checkpoint else "nothing was saved"
            if stopped == "max_time":
                rule = "minutes enough for the first epoch"
                raise InvalidValueError("max_time", rule, f"{self.max_time}", rest)
            raise KeyboardInterrupt(f"interrupted in the first epoch: {rest}")
        if not place.first:
            return self._share(scan, solution)
        rec = optics.placed(reconstruction_of(solution, scan))
        with self.clock.stage("evaluate"):
            fitted = Fitted.of(solution)
            verdict = judge(rec, scan, self.nphotons, fitted, optics)
            doubts = report(verdict.cautions())
            cautions += doubts
            best = fitted.epoch(len(solution.r_factors))
            known = reference_metrics(rec, optics.measured(scan))
            metrics = {"r_factor": verdict.r_factor, **known}
        metrics |= {
            **verdict.metrics,
            **fitted.metrics(rec.pixel_size_m, scan.detector_distance_m),
            "r_factors": solution.r_factors,
            "stopped": stopped,
        }
        if (linear := fitted.position_map) is not None:
            log.info("%s", linear.describe(rec.pixel_size_m, scan.detector_distance_m))
        if found is not None:
            metrics["first_probe"] = found.record
        if ladder is not None:
            metrics["auto"] = ladder.record()
        moved = float(np.sqrt(np.mean((solution.positions - scan.positions) ** 2)))
        if work.settings.get("refine_positions"):
            metrics["positions_moved_rms"] = moved
            if rec.pixel_size_m is not None:
                metrics["positions_moved_rms_m"] = moved * rec.pixel_size_m
        curve = None
        if self.half_scan_frc:
            if not (attendance.stopped or interrupts.arrived):
                with self.clock.stage("half scans"):
                    curve = work.repeated(best).halves(scan)
            metrics["half_scan_frc"] = None if curve is None else curve.metrics
        sure = None
        if self.uncertainty:
            if not (attendance.stopped or interrupts.arrived):
                with self.clock.stage("uncertainty"):
                    sure = work.repeated(best).uncertainty(rec, scan, fitted)
            metrics["uncertainty"] = None if sure is None else sure.metrics
            rec = rec if sure is None else sure.reconstruction
        result = SolverResult(
            reconstruction=rec,
            r_factors=solution.r_factors,
            stopped=stopped,
            positions_moved_rms=moved,
            fitted=fitted,
            verdict=verdict,
            cautions=cautions,
            metrics=metrics,
            patterns_per_second=scan.n / self.clock.seconds["solve"],
        )
        if work.settings.get("update_probe") and optics.near_field is None:
            note_twin(rec.probe)
        if self.output is not None:
            result = self._written(self.output, scan, result, described, curve, work, start, state)
            if checkpoint is not None and result.complete:
                checkpoint.remove()
        if self.page.is_watched:
            for caution in doubts:
                self.page.caution(caution.text)
            self.page.show(shown.snapshot(rec, fitted))
        if interrupts.arrived or stopped == "interrupted":
            raise SolverInterrupted(result)
        self.page.end("finished", describe_fit(metrics), result.path)
        return result

    def _started(self, scan: Scan) -> tuple[WarmStart | None, Scan]:
        """Return the result to start from, and the scan with its probe and positions."""
        if self.start is None:
            return None, scan
        with self.clock.stage("start"):
            if is_model(self.start):
                self._refuse_network()
                start = network_start(self.start, scan, self.progress)
            else:
                start = warm_start(self.start, scan, self._sampling)
        moved = start.scan(scan)
        if self.first_probe is not None or self.reading.get("probe_file") is not None:
            moved = evolve(moved, probe=scan.probe)
        return start, moved

    def _refuse_network(self) -> None:
        if self._sampling > 1:
            rule, advice = "a result where detector_sampling is given", "solve without a network"
            raise InvalidValueError("start", rule, f"a model, {self.start}", advice)

    @property
    def _sampling(self) -> int:
        """Pixels of the waves along a side of a pixel of the detector."""
        return int(self.settings.get("detector_sampling") or 1)

    def _read(self) -> Scan:
        """Read the scan; a probe file for a coarse detector fits the waves, and not the scan."""
        reading = dict(self.reading)
        if self._sampling > 1:
            reading.pop("probe_file", None)
        return read_scan(self.scan, **reading).single(self.scan_index)

    @property
    def _judged_first_probe(self) -> str | None:
        """Where a first probe comes from that is tried on a part of the scan: one of its size."""
        if self.first_probe is None or self._sampling == 1:
            return self.first_probe
        return self.first_probe if probe_source(self.first_probe).kind == "auto" else None

    def _wide_probe(self, scan: Scan, start: WarmStart | None) -> NDArray[np.complex64] | None:
        """Return the probe to begin with if it is not that of the scan."""
        return wide_probe(
            scan,
            self._sampling,
            first_probe=self.first_probe,
            probe_file=self.reading.get("probe_file"),
            start=start,
        )

    def _begin_page(self, scan: Scan) -> None:
        size = scan.pixel_size_m
        asked = {name: value for name, value in self.settings.items() if value and name != "epochs"}
        asked = {name: "yes" if value is True else value for name, value in asked.items()}
        self.page.begin(
            "reconstruct",
            scan=Path(scan.label).name,
            method=f"solver, {self.settings['epochs']} epochs",
            patterns=scan.n,
            pattern_size=f"{scan.N} × {scan.N} pixels",
            **({} if size is None else {"object_pixel": f"{size * 1e9:.4g} nm"}),
            **{name: str(value) for name, value in asked.items()},
        )

    def _shown(self, scan: Scan, settings: Mapping[str, Any], optics: SampleOptics) -> ShownSolver:
        return ShownSolver(
            page=self.page,
            scan=scan,
            nphotons=self.nphotons,
            epochs=settings["epochs"],
            batches=math.ceil(scan.n / (settings.get("batch_size") or 16)),
            optics=optics,
            still=not any(
                settings.get(name)
                for name in ("refine_positions", "refine_affine", "refine_backlash")
            ),
        )

    def _work(
        self,
        place: Place,
        attendance: Attendance,
        optics: SampleOptics,
        path: NDArray[np.float64] | None,
    ) -> SolverWork:
        return SolverWork(
            settings=self.settings,
            nphotons=self.nphotons,
            place=place,
            progress=self.progress,
            callback=self.callback,
            attendance=attendance,
            optics=optics,
            path=path,
        )

    def _saved(
        self, scan: Scan, start: WarmStart | None, probe: NDArray[np.complex64] | None
    ) -> tuple[SolverCheckpoint | None, State | None]:
        """Return the checkpoint of this run, and the state in it if it is resumed."""
        path = self._checkpoint
        if path is None:
            return None, None
        settings = {**self.settings, "first_probe": self.first_probe, "auto": self.auto}
        initial = None if start is None else start.reconstruction.object
        identity = solver_identity(scan, settings, initial, probe)
        checkpoint = SolverCheckpoint(path=path, identity=identity)
        if not self.resume:
            return checkpoint, None
        if not path.exists():
            log.info("%s: no checkpoint yet: starting from the beginning", path)
            return checkpoint, None
        try:
            state = checkpoint.read()
        except InvalidValueError:
            if not self.overwrite:
                raise
            log.info("%s: damaged or of another run: starting from the beginning", path)
            return checkpoint, None
        done, epochs = len(state.r_factors), self.settings["epochs"]
        if done >= epochs:
            rule = f"more than the {done} epochs that are done"
            raise InvalidValueError("epochs", rule, f"{epochs}", "raise it to resume")
        log.info("resuming after %d epochs", done)
        return checkpoint, state

    def plan(self) -> list[str]:
        """Read and check the scan, and say what `run` would do; nothing is written."""
        scan = self._read()
        check_scan(scan)
        todo = f"{scan.n} patterns of {scan.N} pixels, {self.settings['epochs']} epochs"
        if self.processes > 1:  # nothing is started here
            where, backend = f"PyTorch on {self.processes} devices", "pytorch"
        else:
            place = self._place(scan)
            where, backend = place.name, place.backend
        return [f"{todo} with {where}", *self._memory(scan, backend).lines()]

    def _share(self, scan: Scan, solution: Solution) -> SolverResult:
        """Return what a process says that is not the first: it has done its share."""
        return SolverResult(
            reconstruction=reconstruction_of(solution, scan),
            r_factors=solution.r_factors,
            stopped=solution.stopped,
            positions_moved_rms=0.0,
            verdict=Verdict(r_factor=solution.r_factors[-1], noise=None),
            patterns_per_second=scan.n / self.clock.seconds["solve"],
            main_process=False,
        )

    def _place(self, scan: Scan) -> Place:
        parts = self._memory(scan, "numpy").parts
        work = scan.n * scan.N**2 * self.settings["epochs"]
        return solver_place(self.devices, work, parts, self.settings.get("batch_size") or 16)

    def _memory(self, scan: Scan, backend: str) -> Estimate:
        size, modes = self.settings.get("batch_size") or 16, self.settings.get("modes")
        optics, path = SampleOptics.of(self.settings, scan), path_of(self.settings, scan)
        levels = 1 if optics.slices is None else optics.slices.number
        return of_solver(
            scan,
            batch_size=size,
            modes=modes,
            backend=backend,
            levels=levels,
            border=near_field_border(optics.near_field, scan.N),
            points=1 if path is None else path_points(path),
            momentum=bool(self.settings.get("momentum")),
            sampling=self._sampling,
        )

    def _stated(self) -> dict[str, Any]:
        """Return what was given about the file, but for other files."""
        files = ("probe_file", "companion")
        stated = {name: value for name, value in self.reading.items() if name not in files}
        return {name: value for name, value in stated.items() if value is not None}

    def _files(self) -> dict[str, Path]:
        """Return the input files by role; a scan in memory has none."""
        probe = None if self.first_probe is None else probe_source(self.first_probe).path
        files = {
            "scan": self.scan,
            "companion": self.reading.get("companion"),
            "probe_file": self.reading.get("probe_file"),
            "first_probe": probe,
            "start": self.start,
        }
        return {role: Path(path) for role, path in files.items() if is_path(path)}

    def _written(
        self,
        folder: Path,
        scan: Scan,
        result: SolverResult,
        inputs: Mapping[str, Mapping[str, Any]],
        curve: HalfScanFRC | None,
        work: SolverWork,
        start: WarmStart | None,
        state: State | None,
    ) -> SolverResult:
        """Write results and the record of the run."""
        method = f"solver, {len(result.r_factors)} epochs"
        if not result.complete:
            method += ", not complete"
        record = run_record(
            "reconstruct",
            inputs=inputs,
            clock=self.clock,
            configuration={
                **work.settings,
                **self._stated(),
                "first_probe": self.first_probe,
                "accelerator": self.devices.accelerator,
                **({} if self.processes == 1 else {"devices": self.processes}),
                "domain": scan.domain,
                "scan_index": self.scan_index,
            },
            **{ASKED: self.request().settings},
            backend=work.place.backend,
            device=work.place.device,
            auto=self.auto,
            max_time=self.max_time,
            stopped=result.stopped,
            start=None if start is None else start.record,
            resumed_after=None if state is None else len(state.r_factors),
            patterns=scan.n,
            patterns_per_second=result.patterns_per_second,
            cautions=result.cautions,
            r_factor=result.metrics["r_factor"],
            r_over_noise=result.metrics["r_over_noise"],
        )
        rec = with_run(result.reconstruction, record)
        write_result_folder(
            folder,
            rec,
            scan,
            method=method,
            metrics=result.metrics,
            record=record,
            curve=curve,
            pictures=self.pictures,
            report=self.report,
            tiff=self.tiff,
            unwrap=self.unwrap,
            overwrite=self._replaces,
            clock=self.clock,
            fitted=result.fitted,
        )
        return evolve(result, reconstruction=rec, path=folder)
