"""A training from the files of scans to the bundle and the record of the run."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from ptycho_config import InvalidValueError, Layer, Resolved, TrainingConfig, resolve_training
from ptycho_data import MODEL_SET, Bundle, Scan, finish_commit, load_bundle

from ptycho_core.backends import require
from ptycho_core.cautions import check_scan
from ptycho_core.fine_tuning import RATE, start_layers
from ptycho_core.first_probe.search import GUESSED_PROBE
from ptycho_core.live_page import Publisher
from ptycho_core.memory import of_training
from ptycho_core.models import AnyModel, load_model, model_path
from ptycho_core.outputs import TRAINING_FILES, config_files, held_folder, output_set
from ptycho_core.probe_choice import Probe, given_probe
from ptycho_core.record import Inputs, Stopwatch
from ptycho_core.results import TrainingResult
from ptycho_core.run_settings import (
    AnyPath,
    check_size,
    log_settings,
    paths_in,
    read_scan,
    scan_facts,
)
from ptycho_core.training.model import TrainedModel
from ptycho_core.training.probes import start_of
from ptycho_core.training.records import (
    kept_epoch,
    was_refined,
    write_metrics,
    write_probes,
    write_record,
    write_report,
)
from ptycho_core.training_data import separate

__all__ = ["TrainingRun"]

log = logging.getLogger(__name__)


@frozen(kw_only=True, eq=False)
class TrainingRun:
    """A prepared training: `check` it before any work, then `run` it.

    Attributes
    ----------
    layers
        Sources of settings other than the data. They may name the files of a test scan and of the
        probe.
    scans
        Scans to train on, or their files.
    output
        Folder to write to; None writes nothing.
    test_scan, probe
        Test scan and probe in memory, if they are not in files.
    reading
        Further arguments of `ptycho_data.load_scan`, for files.
    start, refine_probe, resume, report, overwrite
        As for `train`.
    page
        Live page that the run is shown on.
    """

    layers: Sequence[Layer]
    scans: Sequence[Scan | AnyPath]
    output: Path | None = None
    test_scan: Scan | None = None
    probe: Probe | None = None
    reading: Mapping[str, Any] = field(factory=dict)
    start: AnyModel | None = None
    refine_probe: bool = False
    resume: bool = False
    report: bool = True
    overwrite: bool = False
    page: Publisher = field(factory=Publisher)
    clock: Stopwatch = field(factory=Stopwatch)

    @cached_property
    def _start(self) -> Bundle | None:
        """The model to start from, read on first use."""
        return None if self.start is None else load_model(self.start, described=False)[0]

    @cached_property
    def _settings(self) -> list[Layer]:
        """Sources of settings other than the data, those of the model to start from included."""
        if self._start is None or self.start is None:
            return list(self.layers)
        return [*self.layers, *start_layers(self._start, self._start_name or "")]

    @property
    def _start_name(self) -> str | None:
        path = None if self.start is None else model_path(self.start)
        return None if path is None else path.name

    @property
    def package(self) -> str:
        """Package of the backend."""
        return require(resolve_training(self._settings).config.backend).package

    @property
    def processes(self) -> int:
        """Number of processes that train together."""
        resolved = resolve_training(self._settings)
        return require(resolved.config.backend).processes(resolved.execution)

    def check(self) -> None:
        """Refuse settings that cannot work, without looking at the data.

        Raises
        ------
        ConfigError
            With all settings that do not exist or break a rule.
        InvalidValueError
            The backend does not support a setting, or the model to start from is of another
            network.
        BundleError
            There is no intact model to start from.
        MissingPackageError
            The backend, or a package that a setting needs, is not installed.
        """
        if not self.scans:
            raise InvalidValueError("scans", "one scan or more", "none")
        first = resolve_training(self._settings)
        execution, backend = first.execution, require(first.config.backend)
        backend.check_training(first.config, execution, len(self.scans))
        if self._start is not None:
            known = evolve(first.config.model, N=self._start.training_config.model.N)
            backend.check_start(self._start, known)  # again when the scans have told their N
        if self.output is None and self.resume:
            raise InvalidValueError("output", "the folder to resume from", "none")
        if self.output is not None and self.resume:
            finish_commit(self.output)
            before = was_refined(self.output)
            if before not in (None, self.refine_probe):
                rule = f"{before}, as in the training to resume"
                raise InvalidValueError("refine_probe", rule, str(self.refine_probe))
        if self.output is None and self.processes > 1:
            rule = "a folder where several processes train"
            raise InvalidValueError("output", rule, "none")

    def on(self, page: Publisher) -> Self:
        """Return this run, to be shown on a page."""
        self.clock.told = page.stage
        return evolve(self, page=page)

    def run(self) -> TrainedModel:
        """Train; errors as for `train`."""
        with self.page.ending(), held_folder(self.output, self.processes):
            return self._run()

    def _check_output(self, scans: Sequence[Scan] = ()) -> None:
        """Refuse an output folder that holds other results or inputs; `scans` have been read."""
        if self.output is None:
            return
        replace = self.overwrite or self.resume
        inputs = [*self._files().values(), *self.scans, *scans, *config_files(self.layers)]
        output_set(
            self.output,
            MODEL_SET,
            TRAINING_FILES,
            overwrite=replace,
            inputs=paths_in(inputs),
            processes=self.processes,
        )

    def _run(self) -> TrainedModel:
        self._check_output()
        with self.clock.stage("read"):
            read = Inputs(self._files())
            scans, test_scan, probe, resolved = self._read()
            inputs = {} if self.output is None else read.described()
        self._begin_page(scans, resolved.config)
        self._check_output([*scans, *([] if test_scan is None else [test_scan])])
        with self.clock.stage("check"):
            answered = (GUESSED_PROBE,) if probe is None else ()
            cautions = [caution for scan in scans for caution in check_scan(scan, but=answered)]
        start = start_of(scans, test_scan, probe, refining=self.refine_probe, clock=self.clock)
        cautions += start.cautions
        for caution in cautions:
            self.page.caution(caution.text)
        with (
            nullcontext(self.output)
            if self.output is not None
            else tempfile.TemporaryDirectory(prefix="ptycho-")
        ) as folder:

            def finish(place: Path, result: TrainingResult) -> None:
                write_metrics(place, result, resolved.execution)
                write_record(
                    place,
                    result,
                    resolved,
                    inputs=inputs,
                    reading=self.reading,
                    start=start,
                    cautions=cautions,
                    clock=self.clock,
                )
                write_probes(place, Path(folder), start, resolved.config)
                if self.report:
                    write_report(place, Path(folder), result, resolved.execution, start)

            with self.clock.stage("train"):
                backend = require(resolved.config.backend)
                result = backend.train(
                    start.scans if len(start.scans) > 1 else start.scans[0],
                    resolved.config,
                    resolved.execution,
                    output=Path(folder),
                    probe=start.probe,
                    test_scan=start.test_scan,
                    overrides_applied=resolved.overrides_applied,
                    resume=self.resume,
                    overwrite=self.overwrite or self.resume,
                    **self._start_arguments,
                    finish=None if self.output is None else finish,
                    **({"page": self.page} if backend.live_page and self.page.is_watched else {}),
                )
            kept = kept_epoch(result, resolved.execution)[1]
            bundle = load_bundle(result.bundle_path)
        text = f"{result.epochs} epochs in {result.seconds:.0f} s, kept {kept}"
        self.page.end("finished", text, self.output)
        return TrainedModel(
            bundle=bundle,
            history=result.history,
            path=None if self.output is None else result.bundle_path,
            config=resolved.config,
            execution=resolved.execution,
            overrides_applied=resolved.overrides_applied,
            seconds=result.seconds,
            epochs=result.epochs,
            kept=kept,
            stopped=result.stopped,
            written=result.written,
            main_process=result.main_process,
            cautions=cautions,
            probes=start.refined,
        )

    def _begin_page(self, scans: Sequence[Scan], config: TrainingConfig) -> None:
        names = [Path(scan.label).name for scan in scans]
        self.page.begin(
            "train",
            scan=", ".join(names),
            network=f"{config.model.architecture}, {config.backend}",
            patterns=sum(scan.n for scan in scans),
            pattern_size=f"{scans[0].N} × {scans[0].N} pixels",
            gridsize=config.model.gridsize,
            batch_size=config.batch_size,
            epochs=config.nepochs,
        )

    def plan(self) -> list[str]:
        """Read and check the scans, and say what `run` would do; nothing is written."""
        scans, _, _, resolved = self._read()
        for scan in scans:
            check_scan(scan)
        config, patterns = resolved.config, sum(scan.n for scan in scans)
        todo = (
            f"{patterns} patterns of {scans[0].N} pixels, {config.model.architecture} with "
            f"{config.backend}, {config.nepochs} epochs in batches of {config.batch_size} groups"
        )
        return [todo, *of_training(scans, config).lines()]

    def _read(
        self,
    ) -> tuple[list[Scan], Scan | None, NDArray[np.complex64] | None, Resolved[TrainingConfig]]:
        """Read the data, and complete the settings with values from them."""
        first = resolve_training(self._settings)
        domain, files = first.config.domain, first.files
        probe_file = files.probe_file if self.probe is None else None
        scans = separate(
            [read_scan(scan, domain, probe_file, **self.reading) for scan in self.scans]
        )
        names = ", ".join(scan.label for scan in scans)
        resolved = resolve_training([*self._settings, Layer("data", scan_facts(scans), names)])
        backend = require(resolved.config.backend)
        if self._start is not None:
            backend.check_start(self._start, resolved.config.model)
        rate = backend.recommended_rate(resolved.config.model)
        resolved = resolved.at_rate(rate if self._start is None else RATE * rate)
        log_settings(resolved)
        if len(scans) > 1:
            log.info("training on %d scans: %s", len(scans), names)
            backend.check_training(resolved.config, resolved.execution, len(scans))
        test_scan = None if self.test_scan is None else self.test_scan.single()
        if test_scan is None and files.test_data_file is not None:
            test_scan = read_scan(files.test_data_file, domain, probe_file, **self.reading).single()
        for scan in (*scans, *([] if test_scan is None else [test_scan])):
            check_size(resolved, scan)
        return scans, test_scan, given_probe(self.probe, probe_file, scans[0].N), resolved

    @property
    def _start_arguments(self) -> dict[str, Any]:
        """Arguments about the model to start from, if any; some backends lack them."""
        if self._start is None:
            return {}
        return {"start": self._start, "start_name": self._start_name}

    def _files(self) -> dict[str, Path]:
        """Input files by role; scans in memory have none."""
        named = resolve_training(self.layers).files
        paths = {
            f"train_data_file{f'_{number}' if number > 1 else ''}": scan
            for number, scan in enumerate(self.scans, start=1)
        }
        files = {role: Path(path) for role, path in paths.items() if not isinstance(path, Scan)}
        others = {
            "test_data_file": named.test_data_file if self.test_scan is None else None,
            "probe_file": named.probe_file if self.probe is None else None,
            "start": None if self.start is None else model_path(self.start),
        }
        return files | {role: path for role, path in others.items() if path is not None}
