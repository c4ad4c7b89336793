"""A stream from its sources to the object: `StreamRun`."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, define, field, frozen
from numpy.typing import NDArray
from ptycho_config import InferenceConfig, Layer, Resolved, resolve_inference
from ptycho_config.errors import InvalidValueError, PtychoError
from ptycho_data import (
    Bundle,
    OutputExistsError,
    Reconstruction,
    Scan,
    as_modes,
    load_probe,
    load_scan,
    save_reconstruction,
    save_scan,
)
from ptycho_data.streams import Source
from ptycho_data.unwrapping import require_unwrapping

from ptycho_core.analysis.verdict import Verdict, judge
from ptycho_core.backends import Backend, backend_names, find_backend, require
from ptycho_core.cautions import Caution, check_scan, report
from ptycho_core.interrupts import Interrupts
from ptycho_core.live_page import Publisher, Snapshot
from ptycho_core.models import AnyModel, load_model, model_path
from ptycho_core.outputs import check_result_folder, config_files, held_folder
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.pretrained import is_installed
from ptycho_core.record import Stopwatch, run_record, with_run
from ptycho_core.result_folder import write_result_folder
from ptycho_core.run_settings import log_settings, resolve_with_bundle
from ptycho_core.streaming.backlog import Backlog
from ptycho_core.streaming.growing import GrowingObject
from ptycho_core.streaming.joining import Joiner
from ptycho_core.streaming.live import LiveObject
from ptycho_core.streaming.patterns import PatternMaker, check_recipe
from ptycho_core.streaming.receiving import Receiver, Rules
from ptycho_core.streaming.sources import StreamAddress
from ptycho_core.streaming.spool import SPOOL_FOLDER, Spool
from ptycho_core.streaming.status import Latencies, Report, report_of

__all__ = ["SCAN_FILE", "SO_FAR_FILE", "StreamResult", "StreamRun"]

log = logging.getLogger(__name__)

#: What had come, as a scan, beside the results; and the object, now and then, during the stream.
SCAN_FILE, SO_FAR_FILE = "scan.npz", "so_far.npz"
#: Seconds between two log lines, and that a loop without patterns sleeps.
_TELL_S, _PAUSE_S = 10.0, 0.05
#: An object is saved so seldom that it takes at most this part of the time.
_SAVING = 0.05


@frozen(kw_only=True, eq=False)
class StreamResult:
    """What came of a stream.

    Attributes
    ----------
    reconstruction
        The object.
    report
        What became of frames and positions.
    metrics
        Content of ``metrics.json``.
    path
        Folder of the results.
    verdict, cautions
        As of a reconstruction from a file.
    processor_s
        Seconds of processor time, by what they were spent on: ``read``, ``prepare``, ``keep`` and
        ``reconstruct``.
    """

    reconstruction: Reconstruction
    report: Report
    metrics: dict[str, Any]
    path: Path
    verdict: Verdict
    cautions: list[Caution]
    processor_s: dict[str, float]


@define(kw_only=True, eq=False, slots=False)
class StreamRun:
    """A stream that is reconstructed while it comes: `check` it, then `run` it.

    Attributes
    ----------
    layers
        Sources of settings other than the bundle, as of `ptycho infer`.
    model
        A trained network, or its file.
    address
        Where frames and positions come from; None goes on with what is in the folder alone.
    output
        Folder of the results.
    recipe
        How frames become patterns.
    probe_file
        File of the probe; without, that of the bundle. An installed model needs one.
    rules
        When it is over.
    queue
        How many patterns may wait for the network.
    save_every
        Seconds between two objects that are saved during the stream.
    resume
        Go on with what an earlier run of the same stream left in the folder.
    overwrite
        Replace results, and what an unfinished run left.
    pictures, report
        Whether pictures, and a report, are among the results.
    unwrap
        Whether they show the phase without jumps of 2 pi.
    page
        Told how it goes.
    """

    layers: Sequence[Layer]
    model: AnyModel
    address: StreamAddress | None
    output: Path
    recipe: Recipe = field(factory=Recipe)
    probe_file: Path | None = None
    rules: Rules = field(factory=Rules)
    queue: int = 8192
    save_every: float = 30.0
    resume: bool = False
    overwrite: bool = False
    pictures: bool = True
    report: bool = True
    unwrap: bool = False
    page: Publisher = field(factory=Publisher)
    clock: Stopwatch = field(factory=Stopwatch)

    @cached_property
    def _loaded(self) -> tuple[Bundle, dict[str, dict[str, Any]]]:
        with self.clock.stage("load bundle"):
            return load_model(self.model, described=True)

    @cached_property
    def resolved(self) -> Resolved[InferenceConfig]:
        """The settings; the backend is one with live reconstruction, unless one was named."""
        able = (name for name in backend_names() if find_backend(name).live_reconstruction)
        usual = Layer("command default", {"backend": next(able, "pytorch")})
        path = model_path(self.model)
        name = "" if path is None else str(path)
        return resolve_with_bundle([*self.layers, usual], self._loaded[0], name)

    @property
    def backend(self) -> Backend:
        """Backend that runs the network."""
        return require(self.resolved.config.backend)

    @cached_property
    def probe(self) -> NDArray[np.complex64]:
        """Probe (M, N, N): that of the file, or of the bundle."""
        if self.probe_file is None:
            return as_modes(self._loaded[0].probe)
        return load_probe(self.probe_file)

    def check(self) -> None:
        """Refuse what cannot work, before anything is received.

        Raises
        ------
        ConfigError, InvalidValueError
            A setting breaks a rule, or does not apply to a stream.
        OutputExistsError, FolderInUseError, OSError
            As `ptycho_core.outputs.check_result_folder`; or the folder holds an unfinished stream.
        MissingPackageError
            The backend, or scikit-image to unwrap, is not installed.
        """
        if self.unwrap:
            require_unwrapping()
        resolve_inference(self.layers)
        self._check_probe()
        check_recipe(self.recipe)
        spool = self.output / SPOOL_FOLDER
        if self.resume and not spool.is_dir():
            rule, advice = "in the output folder to resume", "leave out --resume"
            raise InvalidValueError("an unfinished stream", rule, f"none in {self.output}", advice)
        if not self.resume and not self.overwrite:
            for path, advice in (
                (spool, "or --resume to go on with it"),
                (self.output / SCAN_FILE, ""),
            ):
                if path.exists():
                    raise OutputExistsError(path, advice) if advice else OutputExistsError(path)
        inputs = [model_path(self.model), self.probe_file, *config_files(self.layers)]
        check_result_folder(
            self.output, curve=False, overwrite=self.overwrite or self.resume, inputs=inputs
        )
        execution = self.resolved.execution
        if execution.device_count != 1:
            raise InvalidValueError("devices", "1 for a stream", f"{execution.device_count}")
        self.backend.check_inference(self.resolved.config, execution)

    def _check_probe(self) -> None:
        path = model_path(self.model)
        if self.probe_file is None and path is not None and is_installed(path):
            rule = "given with an installed model, which does not know your beam"
            advice = "give an earlier result, or a scan with its probe"
            raise InvalidValueError("--probe-file (probe_file)", rule, "none", advice)

    def run(self) -> StreamResult:
        """Receive and reconstruct until the stream is over; Ctrl-C ends it, with its results.

        Raises
        ------
        InvalidValueError
            Nothing was received that can be reconstructed.
        NoSpaceError
            The disk is full; what had come is kept.
        KeyboardInterrupt
            On a second Ctrl-C; what had come is kept.
        """
        with held_folder(self.output):
            log_settings(self.resolved)
            self.live()  # frameworks take long to load: before anything comes
            sources = [] if self.address is None else self.address.open(self.recipe)
            return _Stream(self, sources).run()

    def live(self, maker: PatternMaker | None = None) -> LiveObject:
        """Return an empty object, for the patterns of a maker that has decided."""
        with self.clock.stage("load network"):
            return self.backend.live(
                self._loaded[0],
                probe=self.probe,
                bad_pixels=None if maker is None else maker.bad_pixels,
                domain=None if maker is None or maker.frames is None else maker.frames.domain,
                execution=self.resolved.execution,
            )


class _Stream:
    """One run, from open sources to results."""

    def __init__(self, run: StreamRun, sources: Sequence[Source]) -> None:
        self.asked, self.page = run, run.page
        folder = run.output / SPOOL_FOLDER
        self.spool = Spool.reopen(folder) if run.resume else Spool.create(folder)
        self.maker = PatternMaker(
            recipe=run.recipe,
            size=int(run.probe.shape[-1]),
            title="the stream" if run.address is None else run.address.source,
        )
        waits = all(source.waits for source in sources)
        self.backlog = Backlog(limit=run.queue, waits=waits and bool(sources))
        self.receiver = Receiver(
            sources=sources,
            maker=self.maker,
            spool=self.spool,
            joiner=Joiner(),
            backlog=self.backlog,
            rules=run.rules,
        )
        self.growing: GrowingObject | None = None
        self.interrupts = Interrupts()
        self._told, self._saved = time.monotonic(), time.monotonic()
        self._save_after = run.save_every

    def run(self) -> StreamResult:
        run = self.asked
        try:
            if run.resume:
                self._take_up()
            with run.clock.stage("stream"), self.interrupts.watch():
                self._reconstruct()
            result = self._finish()
        except BaseException:
            self.receiver.stop("failed")
            self.receiver.join()
            self._keep()
            if len(self.spool):
                self.spool.close()
            else:
                self.spool.remove()
            raise
        self.spool.remove()
        (run.output / SO_FAR_FILE).unlink(missing_ok=True)
        return result

    def _take_up(self) -> None:
        """Take what an earlier run received."""
        joiner, spool = self.receiver.joiner, self.spool
        if spool.meta is not None:
            self.maker.resume(spool.meta)
        numbers = spool.numbers()
        joiner.add_frames(numbers, np.arange(len(numbers)), time.monotonic())
        places_of, places, in_pixels = spool.positions()
        if len(places_of):
            self.receiver.in_pixels = in_pixels
        joined = joiner.add_positions(places_of, places, time.monotonic())
        if len(joined):
            self.backlog.put_later(self.receiver.on_object(joined))
        joiner.resume()
        log.info("%d frames and %d positions of an earlier run", len(numbers), len(places_of))

    def _reconstruct(self) -> None:
        """Add what comes, until nothing more does and all is added."""
        receiver = self.receiver
        if receiver.sources:
            receiver.start()
        model = self.asked.resolved.config.model
        facts = {"source": self.maker.title, "method": f"network {model.architecture}"}
        self.page.begin("stream", scan=self.asked.output.name, **facts)
        while True:
            if self.interrupts.arrived:
                receiver.stop("interrupted")
            ended = receiver.done or not receiver.sources
            if self.maker.frames is not None and self.growing is None and len(self.backlog):
                self.growing = self._begin()
            done = self.growing.step(last=ended) if self.growing is not None else 0
            if ended and not done and (self.growing is None or not len(self.backlog)):
                break
            if not done:
                self.backlog.wait_for(1, _PAUSE_S)
                time.sleep(0.002)
            self._tell()
        receiver.join()
        if receiver.failed is not None:
            raise receiver.failed
        if self.growing is not None and self.growing.live.count and self.page.is_watched:
            self.page.show(self._picture(self.growing))

    def _begin(self) -> GrowingObject:
        """Return the object that grows, which knows of bad pixels now."""
        live = self.asked.live(self.maker)
        return GrowingObject(live=live, spool=self.spool, backlog=self.backlog)

    def report(self) -> Report:
        """Return what became of frames and positions so far."""
        growing, receiver = self.growing, self.receiver
        return report_of(
            receiver.joiner,
            growing.latencies if growing else Latencies(),
            receiver.expected,
            receiver.rules.first,
            patterns=growing.live.count if growing else 0,
            put_off=self.backlog.put_off,
            refused=len(growing.refused) if growing else 0,
        )

    def _tell(self) -> None:
        """Tell log and page how it goes, and save the object, each now and then."""
        growing, now, joiner = self.growing, time.monotonic(), self.receiver.joiner
        if growing is None or not growing.live.count:
            if now - self._told >= _TELL_S:
                self._told = now
                log.info(
                    "waiting for the first patterns: %d frames and %d positions so far",
                    *self.receiver.come,
                )
            return
        rate = growing.latencies.rate
        count, waiting = growing.live.count, len(self.backlog)
        self.page.progress(count, self.receiver.expected, "patterns")
        latency = growing.latencies.quantiles()[0] or 0.0
        doubled = joiner.counts["doubled_frames"]
        self.page.now(rate=rate, latency=latency, queue=waiting, doubled=doubled)
        self.page.offer(partial(self._picture, growing))
        if now - self._told >= _TELL_S:
            self._told = now
            log.info(
                "%d patterns, %.0f/s, %d wait, latency %.2f s, %d frames without a position",
                count, rate, waiting, latency, joiner.frames_waiting,
            )  # fmt: skip
        if now - self._saved >= self._save_after:
            self._keep()
            took = time.monotonic() - now
            self._saved = time.monotonic()
            self._save_after = max(self.asked.save_every, took / _SAVING)

    def _picture(self, growing: GrowingObject) -> Snapshot:
        """Return a picture for the page, and tell it how the patterns so far fit."""
        shown, frames = growing.snapshot(), self.maker.frames
        if frames is not None:
            fit = growing.fit(shown.reconstruction, frames.domain, self.maker.bad_pixels)
            self.page.point("patterns", growing.live.count, **fit)
        return shown

    def _keep(self) -> None:
        """Bring what has come, and the object of it, to the disk."""
        if self.growing is None or not self.growing.live.count:
            return
        with suppress(PtychoError, OSError):  # of a full disk; told by what is written next
            self.spool.sync()
            save_reconstruction(
                self.asked.output / SO_FAR_FILE, self.growing.so_far(), overwrite=True
            )

    def _finish(self) -> StreamResult:
        run, growing = self.asked, self.growing
        report_ = self.report()
        if growing is None or not growing.live.count:
            got = f"{report_.counts.get('frames', 0)} frames and "
            got += f"{report_.counts.get('positions', 0)} positions, none of one number"
            raise InvalidValueError("a stream", "frames with positions", got)
        log.info("%s", self.receiver.ended_why or "what had come is done")
        for line in report_.lines():
            log.warning("%s", line)
        with run.clock.stage("write scan"):
            scan, numbers = self._write_scan()
        with run.clock.stage("evaluate"):
            facts = Reconstruction.of_scan(scan, **_arrays(growing.result(numbers)))
            try:
                cautions = check_scan(scan)
            except PtychoError as error:  # what no method can reconstruct was reconstructed, so far
                log.warning("%s", error)
                cautions = []
            verdict = judge(facts, scan)
            cautions += report(verdict.cautions(network=True))
        metrics = {
            "r_factor": verdict.r_factor,
            **verdict.metrics,
            "stream": asdict(report_),
        }
        self._write(facts, scan, metrics, cautions)
        return StreamResult(
            reconstruction=facts,
            report=report_,
            metrics=metrics,
            path=run.output,
            verdict=verdict,
            cautions=cautions,
            processor_s=self._busy(),
        )

    def _busy(self) -> dict[str, float]:
        own = 0.0 if self.growing is None else self.growing.busy_s
        return {**self.receiver.busy_s, "reconstruct": own}

    def _write_scan(self) -> tuple[Scan, NDArray[np.int64]]:
        """Write all patterns with positions as a scan, in the order of their numbers."""
        joiner, receiver = self.receiver.joiner, self.receiver
        rows, numbers, places = joiner.table()
        placed = self.maker.places(places, in_pixels=bool(receiver.in_pixels))
        made = self.maker.scan(
            self.spool.stack(rows), placed, self.asked.probe, in_pixels=bool(receiver.in_pixels)
        )
        path = self.asked.output / SCAN_FILE
        save_scan(path, made, overwrite=True, run={"command": "stream"})
        return load_scan(path), numbers

    def _write(
        self,
        rec: Reconstruction,
        scan: Scan,
        metrics: Mapping[str, Any],
        cautions: list[Caution],
    ) -> None:
        run, receiver = self.asked, self.receiver
        config = run.resolved.config
        record = run_record(
            "stream",
            inputs=run._loaded[1],
            clock=run.clock,
            configuration=run.resolved.to_dict(),
            overrides=run.resolved.overrides_applied,
            cautions=cautions,
            backend=config.backend,
            patterns=len(rec.indices),
            sources={} if run.address is None else run.address.kinds,
            recipe=run.recipe.given(),
            ended=receiver.ended_why,
            stream=metrics["stream"],
            processor_s={name: round(value, 3) for name, value in self._busy().items()},
            **{name: metrics[name] for name in ("r_factor", "r_over_noise")},
        )
        write_result_folder(
            run.output,
            with_run(rec, record),
            scan,
            method=f"network {config.model.architecture}, as the patterns came",
            metrics=metrics,
            record=record,
            curve=None,
            pictures=run.pictures,
            report=run.report,
            unwrap=run.unwrap,
            overwrite=True,
            clock=run.clock,
        )


def _arrays(rec: Reconstruction) -> dict[str, Any]:
    names = ("object", "coverage", "xcoords", "ycoords", "indices", "probe", "origin")
    return {name: getattr(rec, name) for name in names}
