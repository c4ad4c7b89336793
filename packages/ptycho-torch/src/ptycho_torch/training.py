"""Training: from scans to a bundle."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from attrs import evolve, frozen
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_core.checks import check_outputs, check_probe, check_trained_on
from ptycho_core.results import TrainingInterrupted, TrainingResult
from ptycho_core.resuming import replacing, resumed_state
from ptycho_core.sampling import with_photons
from ptycho_data import BUNDLE_NAME, Scan, save_bundle

from ptycho_torch.bundles import bundle_of
from ptycho_torch.data import ScanDataModule, ScanGroups
from ptycho_torch.fitting import (
    CHECKPOINTS,
    check_finite,
    epochs_in,
    fit,
    load_best,
    make_trainer,
)
from ptycho_torch.groups import prepare
from ptycho_torch.illumination import Illumination
from ptycho_torch.lightning_manners import quiet_lightning
from ptycho_torch.memory import keep_freed_memory
from ptycho_torch.model import PtychoModel
from ptycho_torch.module import PtychoModule
from ptycho_torch.refined import write_refined

log = logging.getLogger(__name__)


@frozen(eq=False, kw_only=True)
class _Data:
    """What is trained on: the parts, and the model that knows every scan's probe."""

    train: list[ScanGroups]
    validation: list[ScanGroups]
    model: PtychoModel

    @property
    def photons(self) -> float:
        """Mean counts per pattern over all training groups."""
        sizes = [part.groups.size for part in self.train]
        return float(np.average([part.photons for part in self.train], weights=sizes))

    def described(self) -> Iterator[dict[str, Any]]:
        """Describe each scan for the record."""
        for part in self.train:
            scan = part.scan
            yield {
                "name": scan.source.name if scan.source is not None else None,
                "patterns": int(scan.n),
                "photons": part.photons,
                "domain": scan.domain,
            }


def _gather(
    scans: Sequence[Scan],
    test_scan: Scan | None,
    config: TrainingConfig,
    given: NDArray[np.complex64] | None,
) -> _Data:
    """Choose groups, and make a model that knows the probe of every scan."""
    for scan in (*scans, *([] if test_scan is None else [test_scan])):
        check_trained_on(scan, config.model.N)
    if given is not None:
        check_probe(given, config.model.N)
    probes = [scan.probe if given is None else given for scan in scans]
    parts = [
        prepare(scan, config, probe, number=number, split=test_scan is None)
        for number, (scan, probe) in enumerate(zip(scans, probes, strict=True))
    ]
    movable = config.positions_trainable
    model = PtychoModel(
        config.model,
        probes[0],
        scans[0].bad_pixels,
        probe_trainable=config.probe_trainable,
        intensity_scale_trainable=config.intensity_scale_trainable and config.counts_decide,
        movable=scans[0].n if movable else 0,
    )
    for scan, probe in zip(scans[1:], probes[1:], strict=True):
        lit = Illumination(
            config.model,
            probe,
            scan.bad_pixels,
            probe_trainable=config.probe_trainable,
            movable=scan.n if movable else 0,
        )
        model.scans.append(lit)
    validation = [part.validation for part in parts if part.validation is not None]
    if test_scan is not None:
        validation = [_validation_of(test_scan, config, model, given)]
    return _Data(train=[part.train for part in parts], validation=validation, model=model)


def _validation_of(
    scan: Scan, config: TrainingConfig, model: PtychoModel, given: NDArray[np.complex64] | None
) -> ScanGroups:
    """Make a scan of its own the one to watch: with the probe that inference would take."""
    first = model.scans[0]
    refined = config.probe_trainable or given is not None
    probe = first.probe.detach().numpy() if refined else scan.probe
    lit = Illumination(config.model, probe, scan.bad_pixels)
    if config.probe_trainable:
        lit.probe_change = first.probe_change
    number = len(model.scans)
    model.scans.append(lit)
    part = prepare(scan, config, probe, number=number, split=False).train
    # Nothing of it is trained: neither do its positions move, nor does it need teams.
    return evolve(part, margin=0.0, teams=False)


def train(
    scans: Scan | Sequence[Scan],
    config: TrainingConfig,
    execution: PyTorchExecutionConfig,
    *,
    output: Path,
    probe: NDArray[np.complex64] | None = None,
    test_scan: Scan | None = None,
    overrides_applied: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainingResult:
    """Train a model on a scan, or on several, and write its bundle.

    Parameters
    ----------
    scans
        Patterns, positions and probe to learn from. Several scans share the network and the
        intensity scale; each has its own probe, bad pixels, dose and validation strip.
    config
        What to compute.
    execution
        How to run it.
    output
        Folder for the bundle, the checkpoints and the logs; made if missing.
    probe : (M, N, N) complex64, optional
        Probe to use instead of each scan's own.
    test_scan
        Scan to validate on. Default: groups at the right edge of each scan are set apart.
    overrides_applied
        Origins of the configuration, kept in the bundle.
    resume
        Go on from the last checkpoint in the output folder. A bundle is not written again where
        nothing was left to do.
    overwrite
        Replace a bundle that is there.

    Returns
    -------
    TrainingResult

    Raises
    ------
    OutputExistsError
        If there is a bundle, or a checkpoint to resume from, and neither ``overwrite`` nor
        ``resume`` is set.
    FileNotFoundError
        If there is nothing to resume from.
    ValueError
        If scan and configuration do not fit.
    DivergenceError
        If the loss is no longer finite.
    TrainingInterrupted
        A KeyboardInterrupt: after Ctrl-C or SIGTERM, when the checkpoint and the bundle of the best
        epoch are written.
    """
    keep_freed_memory()
    target = output / BUNDLE_NAME
    last = output / CHECKPOINTS / "last.ckpt"
    check_outputs(target, last, resume=resume, overwrite=overwrite)
    overrides = dict(overrides_applied or {})
    pl.seed_everything(config.seed, workers=True, verbose=False)
    dose = config.asked_photons(overrides)
    scans = [with_photons(s, dose) for s in ([scans] if isinstance(scans, Scan) else scans)]
    test_scan = None if test_scan is None else with_photons(test_scan, dose)
    data = _gather(scans, test_scan, config, probe)
    model, validated = data.model, bool(data.validation)
    execution = execution.at_rate(model.network.recommended_rate)
    monitor = execution.monitor(validated=validated)
    module = PtychoModule(model, config, execution, monitor)
    module.state = resumed_state(config, execution, scans)
    batches = ScanDataModule(
        data.train,
        data.validation,
        batch_size=config.batch_size,
        seed=config.seed,
        execution=execution,
    )
    before = epochs_in(last, module.state) if resume else 0
    start = time.perf_counter()
    # Processes that a launcher starts together would take the folder from each other.
    first = rank_zero_only.rank == 0
    folder = replacing(last.parent, keep=resume) if first else nullcontext()
    with quiet_lightning(), folder:
        trainer, history, best = make_trainer(
            output,
            evolve(config, nepochs=max(config.nepochs, before)),  # never fewer than are done
            execution,
            monitor,
            validated=validated,
            resume=resume,
            unused=len(scans) > 1 and bool(model.probe_changes() or model.position_shifts()),
        )
        interrupted = fit(trainer, module, batches, last if resume else None)
        check_finite(history)
        if interrupted and not history.epochs:
            raise KeyboardInterrupt("interrupted in the first epoch: nothing was saved")
    seconds = time.perf_counter() - start
    done = len(history.epochs)
    written = not (resume and done == before and target.exists())
    if not written and trainer.is_global_zero:
        log.info("%d epochs were done before: the bundle stays as it is", done)
    if written:
        load_best(model, best)
    if written and trainer.is_global_zero:
        bundle = bundle_of(
            model,
            config,
            photons=data.photons,
            domain=scans[0].domain,
            history=history.columns(),
            overrides_applied=overrides,
            scans=list(data.described()),
            probe_given=probe is not None,
        )
        for path in write_refined(output, model, [part.scan for part in data.train]):
            log.info("refined, of one scan: %s", path)
        save_bundle(output, bundle, overwrite=overwrite or resume)
    trainer.strategy.barrier()  # whoever returns finds the bundle
    result = TrainingResult(
        bundle_path=target,
        history=history.columns(),
        seconds=seconds,
        epochs=done,
        main_process=trainer.is_global_zero,
        written=written,
    )
    if interrupted:
        raise TrainingInterrupted(result, resumable=execution.enable_checkpointing)
    return result
