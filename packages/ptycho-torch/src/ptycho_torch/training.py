"""Training: from scans to a bundle."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from attrs import evolve
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_config.adopting import adopt
from ptycho_core.checks import check_outputs
from ptycho_core.refined_scans import write_refined
from ptycho_core.results import TrainingInterrupted, TrainingResult
from ptycho_core.resuming import replacing, resumed_state
from ptycho_core.sampling import with_photons
from ptycho_core.training_data import TrainingData, gather
from ptycho_data import BUNDLE_NAME, Scan, save_bundle

from ptycho_torch.bundles import bundle_of
from ptycho_torch.data import ScanDataModule
from ptycho_torch.fitting import (
    CHECKPOINTS,
    check_finite,
    epochs_in,
    fit,
    load_best,
    make_trainer,
)
from ptycho_torch.illumination import Illumination
from ptycho_torch.lightning_log import quiet_lightning
from ptycho_torch.memory import keep_freed_memory
from ptycho_torch.model import PtychoModel
from ptycho_torch.module import PtychoModule
from ptycho_torch.networks import check_architecture

log = logging.getLogger(__name__)


def _model(data: TrainingData, config: TrainingConfig) -> PtychoModel:
    """Make a model with the optics of every scan."""
    first, *others = data.optics
    model = PtychoModel(
        config.model,
        first.probe,
        first.bad_pixels,
        probe_trainable=first.probe_trainable,
        intensity_scale_trainable=config.intensity_scale_trainable and config.counts_decide,
        movable=first.movable,
    )
    for optics in others:
        own = Illumination(
            config.model,
            optics.probe,
            optics.bad_pixels,
            probe_trainable=optics.probe_trainable,
            movable=optics.movable,
        )
        if optics.probe_of is not None:
            own.probe_change = model.scans[optics.probe_of].probe_change
        model.scans.append(own)
    return model


def _refined(
    model: PtychoModel, data: TrainingData
) -> Iterator[tuple[Scan, NDArray[np.complex64], NDArray[np.float32] | None]]:
    """Yield the refined parameters of each scan that the bundle cannot hold."""
    moved = bool(model.position_shifts())
    if not moved and not (model.probe_changes() and len(data.train) > 1):
        return
    for part in data.train:
        own = model.scans[part.number]
        offsets = None if own.offsets is None else own.offsets.detach().cpu().numpy()
        yield part.scan, own.probe.detach().cpu().numpy(), offsets


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
        Patterns, positions and probe to train on. Several scans share the network and the
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
        Resume from the last checkpoint in the output folder. The bundle is not rewritten if all
        epochs are already done.
    overwrite
        Replace an existing bundle.

    Returns
    -------
    TrainingResult

    Raises
    ------
    OutputExistsError
        If there is a bundle, or a checkpoint to resume from, and neither ``overwrite`` nor
        ``resume`` is set.
    FileNotFoundError
        If there is no checkpoint to resume from.
    ValueError
        If scan and configuration do not match.
    DivergenceError
        If the loss is not finite.
    TrainingInterrupted
        A KeyboardInterrupt: after Ctrl-C or SIGTERM, once the checkpoint and the bundle of the
        best epoch are written.
    """
    keep_freed_memory()
    target = output / BUNDLE_NAME
    last = output / CHECKPOINTS / "last.ckpt"
    check_outputs(target, last, resume=resume, overwrite=overwrite)
    scans = [scans] if isinstance(scans, Scan) else scans
    config = adopt(TrainingConfig, config, N=scans[0].N)
    check_architecture(config.model)
    overrides = dict(overrides_applied or {})
    pl.seed_everything(config.seed, workers=True, verbose=False)
    dose = config.asked_photons(overrides)
    scans = [with_photons(s, dose) for s in scans]
    test_scan = None if test_scan is None else with_photons(test_scan, dose)
    data = gather(scans, test_scan, config, probe)
    model, validated = _model(data, config), bool(data.validation)
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
    # Processes that a launcher starts together would move the folder away from each other.
    first = rank_zero_only.rank == 0
    folder = replacing(last.parent, keep=resume) if first else nullcontext()
    with quiet_lightning(), folder:
        trainer, history, best = make_trainer(
            output,
            evolve(config, nepochs=max(config.nepochs, before)),  # never fewer than already done
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
        log.info("all %d epochs are already done; bundle unchanged", done)
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
        for path in write_refined(output, _refined(model, data)):
            log.info("refined parameters of one scan: %s", path)
        save_bundle(output, bundle, overwrite=overwrite or resume)
    trainer.strategy.barrier()  # the bundle is complete before any process returns
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
