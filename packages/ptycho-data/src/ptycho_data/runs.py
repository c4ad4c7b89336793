"""What every backend's trainings and reconstructions are given, refuse, and give back."""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from ptycho_data.atomic import refuse_existing
from ptycho_data.bundle import Bundle
from ptycho_data.probe_file import load_probe
from ptycho_data.reconstruction import Reconstruction
from ptycho_data.scan import Scan

if TYPE_CHECKING:  # whoever brings a configuration has the package
    from ptycho_config import (
        InferenceConfig,
        ModelConfig,
        PyTorchExecutionConfig,
        TrainingConfig,
    )

__all__ = [
    "InferenceResult",
    "TrainingInterrupted",
    "TrainingResult",
    "check_architecture",
    "check_fit",
    "check_outputs",
    "check_resumed",
    "check_trained_on",
    "choose_probe",
    "remark_few",
    "replacing",
    "resumed_state",
    "share_in_mean",
]

log = logging.getLogger(__name__)

FEW = 4
"""Patterns below which a training or a reconstruction deserves a remark."""


ALIKE = 0.5
"""Normalised inner product of two probes below which one hardly stands for the other. A rough guess
of a probe and what refinement made of it reached 0.65 on measured data."""

LATENESS = 2
"""Step t counts as its power in the mean of weights: a mean age of a quarter of the training."""


@frozen(kw_only=True)
class TrainingResult:
    """What training left behind.

    Attributes
    ----------
    bundle_path : Path
        The bundle written.
    history : dict of str to list of float
        Losses by name, one value per epoch.
    seconds : float
        Wall time of the training.
    epochs : int
        Epochs finished, those before a resume included.
    main_process : bool
        Whether this is the process, of several, that reports and writes.
    written : bool
        Whether the bundle is new: nothing was left to do for a resumed training otherwise.
    """

    bundle_path: Path
    history: dict[str, list[float]]
    seconds: float
    epochs: int
    main_process: bool = True
    written: bool = True


class TrainingInterrupted(KeyboardInterrupt):
    """A training that was told to stop, with what it has got so far.

    Attributes
    ----------
    result : TrainingResult
    """

    def __init__(self, result: TrainingResult, *, resumable: bool = True) -> None:
        rest = "--resume goes on from there" if resumable else "without checkpoints it ends here"
        done = f"{result.epochs} epoch{'' if result.epochs == 1 else 's'}"
        super().__init__(f"interrupted after {done}: {rest}")
        self.result = result


@frozen(kw_only=True, eq=False)
class InferenceResult:
    """A reconstruction and how it was made.

    Attributes
    ----------
    reconstruction : Reconstruction
    r_factor : float
        ``sum|sqrt(rate) - sqrt(counts)| / sum sqrt(counts)`` of the stitched object.
    timings : dict of str to float
        Wall seconds of each stage: ``prepare``, ``read`` (waiting for patterns), ``reconstruct``
        and ``score``.
    patterns_per_second : float
        Patterns over the seconds of the pass from file to object, start-up left out.
    backend : str
        Who computed.
    main_process : bool
        Whether this is the process, of several, that reports and writes.
    """

    reconstruction: Reconstruction
    r_factor: float
    timings: dict[str, float] = field(factory=dict)
    patterns_per_second: float
    backend: str
    main_process: bool = True


def choose_probe(bundle: Bundle, scan: Scan, config: "InferenceConfig") -> NDArray[np.complex64]:
    """Return the probe to reconstruct with, and log which it is.

    The file that ``config`` names; else the bundle's, if training did not use its scan's own probe
    as it was but refined it or took it from a file, and it fits; else the scan's.

    Raises
    ------
    ScanFormatError
        If there is no probe of the scan's size in that file.
    """
    if config.probe_file is not None:
        log.info("probe: from %s", config.probe_file)
        return load_probe(config.probe_file, scan.N)
    refined, given = bundle.config.get("probe_trainable"), bundle.config.get("probe_file")
    several = len(bundle.scaling.get("scans", [])) > 1
    kept = not several if refined else bool(given)  # of several, each refined its own
    if kept and bundle.probe.shape[-1] == scan.N:
        log.info("probe: the one the network was trained with, kept in the bundle")
        _warn_of_another(bundle.probe, scan.probe)
        return bundle.probe
    other = f", the bundle's has {bundle.probe.shape[-1]} pixels" if kept else ""
    log.info("probe: from the scan%s", other)
    return scan.probe


def _warn_of_another(kept: NDArray[np.complex64], own: NDArray[np.complex64]) -> None:
    """Warn where the strongest mode of a bundle's probe has little to do with the scan's."""
    one, other = (probe[np.linalg.norm(probe, axis=(1, 2)).argmax()] for probe in (kept, own))
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    alike = abs(np.vdot(one, other)) / norms if norms else 1.0
    if alike < ALIKE:
        log.warning(
            "probe: the bundle's and the scan's have little in common (%.2f of 1): if the beam has "
            "changed since the training, give the scan's with --probe-file",
            alike,
        )


def check_architecture(model: "ModelConfig", staged: Mapping[str, bool], backend: str) -> None:
    """Refuse a network that a backend does not have, and stages of one that has none.

    Parameters
    ----------
    model
        What is asked for.
    staged
        The backend's networks by name: whether each works in stages.
    backend
        Its name, as users know it.

    Raises
    ------
    ValueError
        Naming what there is.
    """
    name = model.architecture
    if name not in staged:
        msg = (
            f"architecture: one of {', '.join(sorted(staged))} expected in the {backend} backend, "
            f"found {name!r}"
        )
        raise ValueError(msg)
    if model.joint_stages and not staged[name]:
        able = ", ".join(sorted(key for key, has in staged.items() if has))
        found = f"with architecture {name}, found true"
        msg = f"joint_stages: must be false {found}; use {able}"
        raise ValueError(msg)


def check_fit(trained: int, scan: Scan, *, any_size: bool) -> None:
    """Refuse a scan of another size than a bundle was trained for, unless its network takes any.

    Raises
    ------
    ValueError
        Naming both sizes.
    """
    if trained != scan.N and not any_size:
        msg = (
            f"N: the bundle was trained for patterns of {trained} pixels, the scan "
            f"{scan.source or ''} has {scan.N}; train on patterns of that size"
        )
        raise ValueError(msg)


def check_trained_on(scan: Scan, trained: int) -> None:
    """Refuse a scan of another size than the model's, and warn of one with hardly any patterns.

    Raises
    ------
    ValueError
        Naming the scan and both sizes.
    """
    name = f"{scan.source}: " if scan.source is not None else ""
    if trained != scan.N:
        msg = (
            f"{name}N: all scans must have the {trained} x {trained} pixels of the model, found "
            f"{scan.N} x {scan.N}"
        )
        raise ValueError(msg)
    remark_few(scan.n, "little can be learnt", name)


def remark_few(count: int, consequence: str, prefix: str = "") -> None:
    """Warn of a scan with so few patterns that hardly anything overlaps, and what follows."""
    if count < FEW:
        log.warning(
            "%sonly %d pattern%s: hardly anything overlaps, and %s",
            prefix,
            count,
            "" if count == 1 else "s",
            consequence,
        )


def check_outputs(target: Path, last: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to replace a bundle, or the checkpoint of a run that may be resumed, unasked.

    Parameters
    ----------
    target, last
        Where the bundle goes, and the checkpoint of the last epoch.
    resume
        Go on from that checkpoint.
    overwrite
        Replace what is there.

    Raises
    ------
    OutputExistsError
        One of them exists, and neither `resume` nor `overwrite` is set.
    FileNotFoundError
        There is nothing to resume from.
    """
    if resume:
        if not last.exists():
            others = sorted(last.parent.glob("last.*"))
            if others:
                msg = f"{others[0]}: written by the other backend; resume with that one"
                raise FileNotFoundError(msg)
            msg = f"{last}: nothing to resume from; train without --resume first"
            raise FileNotFoundError(msg)
        return
    if not overwrite:
        refuse_existing([target, last])


def resumed_state(
    config: "TrainingConfig", execution: "PyTorchExecutionConfig", scans: Sequence[Scan]
) -> dict[str, Any]:
    """Return what a checkpoint has to say of its training, for `check_resumed`: plain values.

    The network, what of it is trained, the learning rate and its schedule, which checkpoints hold,
    and the scans.
    """
    names = ("probe_trainable", "positions_trainable", "average_weights")
    state = attrs.asdict(config.model) | {name: getattr(config, name) for name in names}
    state["intensity_scale_trainable"] = config.intensity_scale_trainable and config.counts_decide
    state |= {"learning_rate": execution.learning_rate, "scheduler": str(execution.scheduler)}
    state["scans"] = [_told(scan) for scan in scans]
    return state


def _told(scan: Scan) -> str:
    """Tell a scan from others, wherever its file lies: its positions, and how bright it is."""
    where = hashlib.sha256(np.ascontiguousarray(scan.positions).tobytes()).hexdigest()[:8]
    return f"{scan.n} patterns of {scan.intensity_totals.mean():.4g} at {where}"


def check_resumed(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint of other scans, or of a network trained otherwise.

    Parameters
    ----------
    path
        The checkpoint.
    before, now
        What `resumed_state` said and says.

    Raises
    ------
    ValueError
        Naming the first setting that is another.
    """
    for name, value in now.items():
        if name not in before or before[name] != value:
            msg = (
                f"{path}: {name} must be as when it was written, {before.get(name, 'unknown')}, "
                f"found {value}; train anew with --overwrite, or resume with the same"
            )
            raise ValueError(msg)


@contextmanager
def replacing(folder: Path, *, keep: bool) -> Iterator[None]:
    """Start with an empty folder; if the work fails, the old one comes back.

    So it does when the work is interrupted before it has written anything.

    Parameters
    ----------
    folder
        Where the work writes.
    keep
        Leave what is there, for work that goes on from it.
    """
    old = folder.with_name(f"{folder.name}.old")
    if folder.exists() and not keep:
        shutil.rmtree(old, ignore_errors=True)  # what a run killed in here left
        folder.replace(old)
    try:
        yield
    except BaseException as error:
        failed = isinstance(error, Exception) or not any(folder.glob("*"))
        if failed and old.exists():
            shutil.rmtree(folder, ignore_errors=True)
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def share_in_mean(step: Any) -> Any:
    r"""Return how far the weights after a step, counted from 1, move the mean of all so far.

    .. math:: \bar w_t = \bar w_{t-1} + \frac{\eta + 1}{t + \eta} (w_t - \bar w_{t-1})

    the polynomial-decay averaging of O. Shamir and T. Zhang (ICML 2013), with `LATENESS` for
    :math:`\eta`. ``step`` may be a number or a tensor of any framework.
    """
    return (LATENESS + 1) / (step + LATENESS)
