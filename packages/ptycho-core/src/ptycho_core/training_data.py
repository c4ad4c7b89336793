"""Data of a training: groups of every scan, and the parameters of each scan."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_config import TrainingConfig
from ptycho_data import Scan
from ptycho_physics import prepare_probe

from ptycho_core.checks import check_probe, check_trained_on
from ptycho_core.groups import ScanGroups, prepare

__all__ = ["ScanOptics", "TrainingData", "gather", "separate"]


@frozen(eq=False, kw_only=True)
class ScanOptics:
    """Probe, bad pixels and positions of one scan, and which of them are trained.

    Attributes
    ----------
    probe : (M, N, N) complex64 array
        Probe modes, measured or estimated.
    bad_pixels : (N, N) bool array or None
        True where a detector pixel is bad.
    probe_trainable : bool
        Whether training refines the probe.
    movable : int
        Number of patterns whose positions training refines; 0 for none.
    probe_of : int or None
        Index of the scan whose refined probe is used, if it is another one.
    """

    probe: NDArray[np.complex64]
    bad_pixels: NDArray[np.bool_] | None = None
    probe_trainable: bool = False
    movable: int = 0
    probe_of: int | None = None


@frozen(eq=False, kw_only=True)
class TrainingData:
    """Groups for training and validation, and the optics of every scan by its index."""

    train: list[ScanGroups]
    validation: list[ScanGroups]
    optics: list[ScanOptics]

    @property
    def photons(self) -> float:
        """Mean counts per pattern over all training groups."""
        sizes = [part.groups.size for part in self.train]
        return float(np.average([part.photons for part in self.train], weights=sizes))

    def described(self) -> Iterator[dict[str, Any]]:
        """Describe each scan for the record of a bundle."""
        for part in self.train:
            scan = part.scan
            yield {
                "name": scan.source.name if scan.source is not None else None,
                "patterns": int(scan.n),
                "photons": part.photons,
                "domain": scan.domain,
            }


def separate(scans: Scan | Sequence[Scan]) -> list[Scan]:
    """Return scans of one object each: those that `Scan.scan_index` tells apart."""
    several = [scans] if isinstance(scans, Scan) else scans
    return [part for scan in several for part in scan.scans()]


def gather(
    scans: Sequence[Scan],
    test_scan: Scan | None,
    config: TrainingConfig,
    probe: NDArray[np.complex64] | None = None,
    *,
    from_scan: bool = False,
) -> TrainingData:
    """Choose the groups of every scan, and collect its optics.

    Parameters
    ----------
    scans
        Scans to train on.
    test_scan
        Scan to validate on. Default: a part of each scan is set apart.
    config
        Sampling, grouping and losses.
    probe : (M, N, N) complex64, optional
        Probe that replaces that of every scan.
    from_scan
        Estimate the object of every scan, for a network that starts from it.

    Raises
    ------
    InvalidValueError
        If a scan or the probe does not have the size of the model.
    """
    if test_scan is not None:
        test_scan = test_scan.single()
    for scan in (*scans, *([] if test_scan is None else [test_scan])):
        check_trained_on(scan, config.model.N)
    if probe is not None:
        check_probe(probe, config.model.N)
    optics = [
        ScanOptics(
            probe=scan.probe if probe is None else probe,
            bad_pixels=scan.bad_pixels,
            probe_trainable=config.probe_trainable,
            movable=scan.n if config.positions_trainable else 0,
        )
        for scan in scans
    ]
    parts = [
        prepare(
            scan,
            config,
            own.probe,
            number=number,
            split=test_scan is None,
            from_scan=from_scan,
        )
        for number, (scan, own) in enumerate(zip(scans, optics, strict=True))
    ]
    validation = [held for _, held in parts if held is not None]
    if test_scan is not None:
        own = _validated(test_scan, config, optics[0], given=probe is not None)
        part, _ = prepare(
            test_scan, config, own.probe, number=len(optics), split=False, from_scan=from_scan
        )
        optics.append(own)
        # nothing of it is trained: its positions are fixed, and it needs no teams

        validation = [evolve(part, margin=0.0, teams=False)]
    return TrainingData(train=[part for part, _ in parts], validation=validation, optics=optics)


def _validated(scan: Scan, config: TrainingConfig, first: ScanOptics, *, given: bool) -> ScanOptics:
    """Return the optics of a validation scan: with the probe that inference would choose."""
    probe = scan.probe
    if config.probe_trainable or given:
        probe = prepare_probe(first.probe, config.model.N, masked=config.model.probe_mask)
    return ScanOptics(
        probe=probe,
        bad_pixels=scan.bad_pixels,
        probe_of=0 if config.probe_trainable else None,
    )
