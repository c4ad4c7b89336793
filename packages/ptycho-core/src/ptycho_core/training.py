"""Train a network in one call: settings, data, backend and records of a training."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from ptycho_config import (
    InvalidValueError,
    Layer,
    PyTorchExecutionConfig,
    Resolved,
    TrainingConfig,
    resolve_training,
)
from ptycho_config.paths import expanded
from ptycho_config.text_files import read_table
from ptycho_data import (
    MODEL_SET,
    Bundle,
    Scan,
    finish_commit,
    load_bundle,
    load_probe,
    write_json,
)
from ptycho_data.display import Displayed
from ptycho_data.plots import plot_model

from ptycho_core.analysis.twin import note_twin
from ptycho_core.backends import require
from ptycho_core.cautions import Caution, check_scan, report
from ptycho_core.first_probe.search import GUESSED_PROBE, FirstProbe, searched_probes
from ptycho_core.memory import of_training
from ptycho_core.outputs import TRAINING_FILES, config_files, held_folder, output_set
from ptycho_core.progress.base import log_to_stderr
from ptycho_core.record import RUN_FILE, Inputs, Stopwatch, run_record
from ptycho_core.refined_scans import write_refined
from ptycho_core.results import TrainingResult, last_losses
from ptycho_core.run_settings import (
    AnyPath,
    call_layers,
    check_size,
    is_path,
    log_settings,
    read_scan,
    scan_facts,
)
from ptycho_core.starting_probe import ProbeRefinement, refine_probe, start_cautions
from ptycho_core.stopping import StopReason
from ptycho_core.training_data import separate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TrainedModel", "TrainingRun", "train"]

log = logging.getLogger(__name__)

Probe = NDArray[np.complexfloating[Any, Any]]


@frozen(kw_only=True, eq=False, repr=False)
class TrainedModel(Displayed):
    """A trained network and how it was trained.

    Attributes
    ----------
    bundle : Bundle
        Weights, probe, scaling and settings; `ptycho_data.save_bundle` writes it.
    history : dict of str to list of float
        Losses by name, one value per epoch.
    path : Path or None
        The bundle's file; None if no output folder was given.
    config : TrainingConfig
        What was computed.
    execution : PyTorchExecutionConfig
        How, with the learning rate that was used.
    overrides_applied : dict
        Every setting that is not at its default: its value and where it came from.
    seconds : float
        Wall time of the training.
    epochs : int
        Number of finished epochs, including those before a resume.
    kept : str
        Which epoch's weights were kept, and its loss: ``epoch 9 of 10: val_loss 0.5``.
    stopped : {"epochs", "plateau"}
        Why the training ended: all epochs are done, or early stopping.
    written : bool
        Whether the bundle is new; not if a resumed training was already complete.
    main_process : bool
        Whether this process reports and writes, if there are several.
    cautions : list of Caution
        Doubts about the scans and their probes.
    probes : list of ProbeRefinement
        Refined probe of each scan, if they were refined before the training.
    """

    bundle: Bundle
    history: dict[str, list[float]]
    path: Path | None
    config: TrainingConfig
    execution: PyTorchExecutionConfig
    overrides_applied: dict[str, dict[str, Any]]
    seconds: float
    epochs: int
    kept: str
    stopped: StopReason = "epochs"
    written: bool = True
    main_process: bool = True
    cautions: list[Caution] = field(factory=list)
    probes: list[ProbeRefinement] = field(factory=list)

    def _facts(self) -> dict[str, str]:
        model = self.config.model
        return {
            "network": f"{model.architecture}, N {model.N}, gridsize {model.gridsize}",
            "epochs": f"{self.epochs}",
            "last losses": last_losses(self.history),
            "weights kept": self.kept,
            "time": f"{self.seconds:.0f} s",
            "file": "" if self.path is None else str(self.path),
        }

    def plot(self) -> "Figure":
        """Draw the probe and the losses of each epoch.

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        return plot_model(self.bundle.probe, self.history)


def train(
    scans: Scan | AnyPath | Sequence[Scan | AnyPath],
    *,
    output: AnyPath | None = None,
    test_scan: Scan | AnyPath | None = None,
    probe: Probe | AnyPath | None = None,
    refine_probe: bool = False,
    config_file: AnyPath | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    **settings: Any,
) -> TrainedModel:
    """Train a network on a scan or several; no ground truth is needed.

    Does what ``ptycho train`` does, with the same defaults and the same records.

    Parameters
    ----------
    scans
        Scan to train on, or its file; several share the network, and each has its own probe. A
        file whose `scan_index` tells several scans apart counts as several.
    output
        Folder for the bundle, checkpoints, metrics and the record of the run. Without it nothing
        is written, and the bundle is kept in memory.
    test_scan
        Scan to validate on after each epoch, or its file. Default: a part of each scan.
    probe
        Probe modes (M, N, N), or one (N, N), or an NPZ file with them, to use instead of the scans'
        own.
    refine_probe
        Whether the solver refines the probe of each scan first. The network is trained with the
        refined probe, and reconstructs with it.
    config_file
        Settings in TOML, YAML or JSON; those given by keyword take precedence.
    resume
        Resume from the last checkpoint in the output folder.
    overwrite
        Replace existing results in the output folder.
    progress
        Show progress and log lines on standard error. A program that has configured `logging`
        gets the lines there.
    settings
        Any setting of the model, the training and the execution by its name: ``nepochs=20``.

    Returns
    -------
    TrainedModel

    Raises
    ------
    ConfigError
        With all settings that do not exist or break a rule.
    InvalidValueError
        Settings, scans and backend do not match each other.
    MissingPackageError
        The backend is not installed; the message has the pip command.
    ScanFormatError
        A file does not hold a valid scan.
    UnusableScanError
        No method can reconstruct a scan.
    OutputExistsError
        The folder holds results, and neither `overwrite` nor `resume` is set.
    DivergenceError
        The loss is not finite.
    TrainingInterrupted
        A KeyboardInterrupt: after Ctrl-C or SIGTERM, with the result so far.
    """
    several = scans if isinstance(scans, Sequence) and not isinstance(scans, str) else [scans]
    arguments = {
        "train_data_file": next(iter(several), None),
        "test_data_file": test_scan,
        "probe_file": probe,
        "output_dir": output,
    }
    layers = call_layers(settings, arguments, config_file)
    if not progress:
        layers.append(Layer("command default", {"enable_progress_bar": False}))
    run = TrainingRun(
        layers=layers,
        scans=several,
        output=None if output is None else expanded(output),
        test_scan=test_scan if isinstance(test_scan, Scan) else None,
        probe=None if probe is None or is_path(probe) else np.asarray(probe),
        refine_probe=refine_probe,
        resume=resume,
        overwrite=overwrite,
    )
    run.check()
    with log_to_stderr("ptycho_core", run.package) if progress else nullcontext():
        return run.run()


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
    refine_probe, resume, overwrite
        As for `train`.
    """

    layers: Sequence[Layer]
    scans: Sequence[Scan | AnyPath]
    output: Path | None = None
    test_scan: Scan | None = None
    probe: Probe | None = None
    reading: Mapping[str, Any] = field(factory=dict)
    refine_probe: bool = False
    resume: bool = False
    overwrite: bool = False
    clock: Stopwatch = field(factory=Stopwatch)

    @property
    def package(self) -> str:
        """Package of the backend."""
        return require(resolve_training(self.layers).config.backend).package

    @property
    def processes(self) -> int:
        """Number of processes that train together."""
        resolved = resolve_training(self.layers)
        return require(resolved.config.backend).processes(resolved.execution)

    def check(self) -> None:
        """Refuse settings that cannot work, without looking at the data.

        Raises
        ------
        ConfigError
            With all settings that do not exist or break a rule.
        InvalidValueError
            The backend does not support a setting.
        MissingPackageError
            The backend, or a package that a setting needs, is not installed.
        """
        if not self.scans:
            raise InvalidValueError("scans", "one scan or more", "none")
        first = resolve_training(self.layers)
        execution = first.execution
        require(first.config.backend).check_training(first.config, execution, len(self.scans))
        if self.output is None and self.resume:
            raise InvalidValueError("output", "the folder to resume from", "none")
        if self.output is not None and self.resume:
            finish_commit(self.output)
            before = _was_refined(self.output)
            if before not in (None, self.refine_probe):
                rule = f"{before}, as in the training to resume"
                raise InvalidValueError("refine_probe", rule, str(self.refine_probe))
        if self.output is None and self.processes > 1:
            rule = "a folder where several processes train"
            raise InvalidValueError("output", rule, "none")

    def run(self) -> TrainedModel:
        """Train; errors as for `train`."""
        with held_folder(self.output, self.processes):
            return self._run()

    def _check_output(self, scans: Sequence[Scan] = ()) -> None:
        """Refuse an output folder that holds other results or inputs; `scans` have been read."""
        if self.output is None:
            return
        replace = self.overwrite or self.resume
        read: list[AnyPath] = [*self._files().values(), *config_files(self.layers)]
        known = [scan for scan in (*scans, *self.scans) if isinstance(scan, Scan)]
        read += [file for scan in known for file in scan.files]
        output_set(
            self.output,
            MODEL_SET,
            TRAINING_FILES,
            overwrite=replace,
            inputs=read,
            processes=self.processes,
        )

    def _run(self) -> TrainedModel:
        self._check_output()
        with self.clock.stage("read"):
            read = Inputs(self._files())
            scans, test_scan, probe, resolved = self._read()
            inputs = {} if self.output is None else read.described()
        self._check_output([*scans, *([] if test_scan is None else [test_scan])])
        with self.clock.stage("check"):
            answered = (GUESSED_PROBE,) if probe is None else ()
            cautions = [caution for scan in scans for caution in check_scan(scan, but=answered)]
        searched: list[FirstProbe] = []
        if probe is None:
            with self.clock.stage("first probe"):
                scans, searched, doubted = searched_probes(scans)
                cautions += doubted
                if test_scan is not None:
                    test_scan = searched_probes([test_scan])[0][0]
            probe = searched[0].probe if searched and len(scans) == 1 else None
        refined: list[ProbeRefinement] = []
        if self.refine_probe:
            refined = self._refined(scans, probe)
            scans = [
                evolve(s, probe=r.probe, probe_made=False)
                for s, r in zip(scans, refined, strict=True)
            ]
            if len(scans) > 1 and test_scan is not None:
                better = refine_probe(test_scan, probe).probe
                test_scan = evolve(test_scan, probe=better, probe_made=False)
            # those of several scans differ, and each scan keeps its own
            probe = refined[0].probe if len(scans) == 1 else None
            doubts = [found.cautions for found in refined]
        else:
            with self.clock.stage("check"):
                doubts = [start_cautions(scan, probe) for scan in scans]
        for scan, doubted in zip(scans, doubts, strict=True):
            cautions += report(doubted, f"{scan.label}: ")
        with (
            nullcontext(self.output)
            if self.output is not None
            else tempfile.TemporaryDirectory(prefix="ptycho-")
        ) as folder:

            def finish(place: Path, result: TrainingResult) -> None:
                starts = {
                    "probe_refinement": [found.record for found in refined],
                    "first_probe": [found.record for found in searched],
                }
                self._write(place, resolved, inputs, result, cautions, starts)
                if len(scans) > 1 and (refined or searched) and not _refines_more(resolved.config):
                    _write_probes(place, Path(folder), scans)

            with self.clock.stage("train"):
                result = require(resolved.config.backend).train(
                    scans if len(scans) > 1 else scans[0],
                    resolved.config,
                    resolved.execution,
                    output=Path(folder),
                    probe=probe,
                    test_scan=test_scan,
                    overrides_applied=resolved.overrides_applied,
                    resume=self.resume,
                    overwrite=self.overwrite or self.resume,
                    finish=None if self.output is None else finish,
                )
            kept = kept_epoch(result, resolved.execution)[1]
            bundle = load_bundle(result.bundle_path)
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
            probes=refined,
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

    def _refined(self, scans: list[Scan], probe: Probe | None) -> list[ProbeRefinement]:
        """Refine the probe of every scan."""
        with self.clock.stage("refine probe"):
            found = [refine_probe(scan, probe) for scan in scans]
        note_twin(found[0].probe)
        return found

    def _read(self) -> tuple[list[Scan], Scan | None, Probe | None, Resolved[TrainingConfig]]:
        """Read the data, and complete the settings with values from them."""
        first = resolve_training(self.layers)
        domain, files = first.config.domain, first.files
        probe_file = files.probe_file if self.probe is None else None
        scans = separate(
            [read_scan(scan, domain, probe_file, **self.reading) for scan in self.scans]
        )
        names = ", ".join(scan.label for scan in scans)
        resolved = resolve_training([*self.layers, Layer("data", scan_facts(scans), names)])
        rate = require(resolved.config.backend).recommended_rate(resolved.config.model)
        resolved = resolved.at_rate(rate)
        log_settings(resolved)
        if len(scans) > 1:
            log.info("training on %d scans: %s", len(scans), names)
            require(resolved.config.backend).check_training(
                resolved.config, resolved.execution, len(scans)
            )
        test_scan = None if self.test_scan is None else self.test_scan.single()
        if test_scan is None and files.test_data_file is not None:
            test_scan = read_scan(files.test_data_file, domain, probe_file, **self.reading).single()
        for scan in (*scans, *([] if test_scan is None else [test_scan])):
            check_size(resolved, scan)
        return scans, test_scan, given_probe(self.probe, probe_file, scans[0].N), resolved

    def _write(
        self,
        folder: Path,
        resolved: Resolved[TrainingConfig],
        inputs: Mapping[str, Mapping[str, Any]],
        result: TrainingResult,
        cautions: list[Caution],
        starts: dict[str, list[dict[str, Any]]],
    ) -> None:
        final = {name: values[-1] for name, values in result.history.items() if len(values)}
        epoch = kept_epoch(result, resolved.execution)[0]
        metrics = {
            "epochs": result.epochs,
            "stopped": result.stopped,
            "kept_epoch": epoch,
            "final": final,
            "history": result.history,
        }
        write_json(folder / "metrics.json", metrics)
        record = run_record(
            "train",
            inputs=inputs,
            clock=self.clock,
            configuration=resolved.to_dict(),
            overrides=resolved.overrides_applied,
            **({"reading": dict(self.reading)} if self.reading else {}),
            backend=resolved.config.backend,
            epochs=result.epochs,
            stopped=result.stopped,
            changes=result.changes,
            cautions=[caution.to_dict() for caution in cautions],
            **starts,
        )
        write_json(folder / RUN_FILE, record)

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
        }
        return files | {role: path for role, path in others.items() if path is not None}


def _was_refined(folder: Path) -> bool | None:
    """Whether the probe was refined before the training in a folder; None if none is recorded."""
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    return bool(read_table(path, limit=2**24, items=2**20).get("probe_refinement"))


def _refines_more(config: TrainingConfig) -> bool:
    """Whether the backend writes probes that training has refined further."""
    return config.probe_trainable or config.positions_trainable


def _write_probes(place: Path, folder: Path, scans: list[Scan]) -> None:
    """Write the refined probes of several scans, which no bundle holds."""
    for path in write_refined(place, [(scan, scan.probe, None) for scan in scans]):
        name = folder / path.relative_to(place)
        log.info("refined probe of one scan, for --probe-file: %s", name)


def given_probe(probe: Probe | None, file: Path | None, N: int) -> NDArray[np.complex64] | None:
    """Return the probe (M, N, N) that the user gave, in memory or as a file; None if neither.

    Raises
    ------
    ScanFormatError
        There is no probe of N pixels in the file.
    """
    if probe is not None:
        modes = np.asarray(probe, dtype=np.complex64)
        return modes[np.newaxis] if modes.ndim == 2 else modes
    return None if file is None else load_probe(file, N)


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
