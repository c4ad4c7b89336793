"""Batches for training: groups of patterns that lie close together on the sample.

A batch is a dictionary:

``counts`` (B, C, N, N) float32
    measured counts;
``positions`` (B, C, 1, 2) float32
    patch centres ``(x, y)`` on the batch's canvas;
``canvas`` (int, int)
    shape ``(H, W)`` of that canvas;
``photons`` float32 scalar
    mean counts per pattern of the scan;
``truth`` (B, C, N, N) complex64
    ground-truth patches, for losses that need them; one is an object that absorbs as much as the
    scan does on average.
"""

import math
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig
from ptycho_data import Scan, spatial_batches
from ptycho_physics import (
    Canvas,
    detected_fraction,
    extract_patches,
    normalise_probe,
    probe_intensity,
)
from torch.utils.data import DataLoader, Dataset, Sampler

Batch = dict[str, Any]


@frozen(eq=False, kw_only=True)
class ScanGroups:
    """A scan and the groups of it that are used.

    Attributes
    ----------
    scan : Scan
    groups : (B, C) int64 array
        Pattern indices of each group.
    photons : float
        Mean counts per pattern that fixes the scale: see `mean_counts`.
    nphotons : float or None
        Mean photons per pattern, for scans in the amplitude domain that do not state it.
    truth_gain : float or None
        Divides the ground truth, so that it is in the network's units: see `truth_gain`. None for
        batches without ground truth.
    """

    scan: Scan
    groups: NDArray[np.int64]
    photons: float
    nphotons: float | None = None
    truth_gain: float | None = None

    @property
    def centres(self) -> NDArray[np.float64]:
        """Mean position (B, 2) of each group."""
        return self.scan.positions[self.groups].mean(axis=1)


def mean_counts(
    scan: Scan,
    indices: NDArray[np.int64],
    nphotons: float | None,
    probe: NDArray[np.complex64],
) -> float:
    """Mean counts per pattern over the patterns ``indices`` of a scan.

    What bad pixels would have counted is made up for, by the light that the probe alone sends
    there: a beam stop does not make the sample darker.
    """
    totals = scan.intensity_totals
    mean = scan.mean_photons(nphotons) * float(totals[indices].mean() / totals.mean())
    if scan.bad_pixels is None:
        return mean
    return mean / detected_fraction(probe, scan.bad_pixels)


def truth_patches(scan: Scan, indices: NDArray[np.int64]) -> NDArray[np.complex64]:
    """Ground-truth patches (k, N, N) of a scan: its own, or cut out of its object.

    Raises
    ------
    ValueError
        If the scan has neither.
    """
    if scan.patches is not None:
        return np.asarray(scan.patches[indices], dtype=np.complex64)
    if scan.object_guess is None:
        msg = "objectGuess or Y: needed for supervised training and real-space losses, found none"
        raise ValueError(msg)
    return extract_patches(scan.object_guess, scan.positions[indices], scan.N)


def truth_gain(scan: Scan, indices: NDArray[np.int64], probe: NDArray[np.complex64]) -> float:
    """Root of the mean transmitted power of the ground truth behind a probe of unit power.

    Dividing by it gives the truth the scale of what the network finds from the counts.
    """
    light = probe_intensity(normalise_probe(probe))
    power = 0.0
    for start in range(0, len(indices), 64):
        patches = truth_patches(scan, indices[start : start + 64])
        power += float((np.abs(patches) ** 2 * light).sum())
    return math.sqrt(power / len(indices))


class GroupDataset(Dataset[Batch]):
    """Serves a whole batch for an array of group numbers."""

    def __init__(self, data: ScanGroups) -> None:
        self.data = data

    def __getitem__(self, chosen: NDArray[np.int64]) -> Batch:
        """Return the batch of the groups ``chosen`` (B,)."""
        data, scan = self.data, self.data.scan
        groups = data.groups[chosen]
        flat = groups.reshape(-1)
        positions = scan.positions[flat]
        canvas = Canvas.covering(positions, scan.N)
        shape = (*groups.shape, scan.N, scan.N)
        counts = scan.counts(flat, data.nphotons).reshape(shape)
        local = canvas.local(positions).reshape(*groups.shape, 1, 2)
        batch: Batch = {
            "counts": torch.from_numpy(counts),
            "positions": torch.from_numpy(local.astype(np.float32)),
            "canvas": canvas.shape,
            "photons": torch.tensor(data.photons, dtype=torch.float32),
        }
        if data.truth_gain is not None:
            truth = truth_patches(scan, flat).reshape(shape) / np.float32(data.truth_gain)
            batch["truth"] = torch.from_numpy(truth)
        return batch


class SpatialBatchSampler(Sampler[NDArray[np.int64]]):
    """Partitions the groups into spatially compact batches, another partition every epoch.

    With several processes each takes its share of the batches, and all the same number: the
    last ones are dealt out again where they do not divide.

    Parameters
    ----------
    centres : (B, 2) float array
        Where the groups lie.
    batch_size
        Groups per batch.
    seed
        Same seed, same batches.
    fixed
        Keep one partition, for validation.
    rank, world_size
        This process among all.
    """

    def __init__(
        self,
        centres: NDArray[np.float64],
        batch_size: int,
        seed: int,
        *,
        fixed: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.centres = centres
        self.batch_size = batch_size
        self.seed = seed
        self.fixed = fixed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the partition; the trainer calls this before each epoch."""
        self.epoch = 0 if self.fixed else epoch

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """Yield arrays of group numbers."""
        batches = spatial_batches(self.centres, self.batch_size, seed=(self.seed, self.epoch))
        for k in range(len(self)):
            yield batches[(k * self.world_size + self.rank) % len(batches)]

    def __len__(self) -> int:
        """Batches of an epoch in this process."""
        return -(-len(self.centres) // (self.batch_size * self.world_size))


def _as_it_is(batch: Batch) -> Batch:
    return batch


class ScanDataModule(pl.LightningDataModule):
    """Training and validation batches.

    Parameters
    ----------
    train
        What to learn from.
    validation
        What to watch; None for no validation.
    batch_size
        Groups per batch.
    seed
        Of the batches.
    execution
        Workers, memory pinning and prefetching.
    """

    def __init__(
        self,
        train: ScanGroups,
        validation: ScanGroups | None,
        *,
        batch_size: int,
        seed: int,
        execution: PyTorchExecutionConfig,
    ) -> None:
        super().__init__()
        self.train_groups = train
        self.validation_groups = validation
        self.batch_size = batch_size
        self.seed = seed
        self.execution = execution

    def _loader(self, data: ScanGroups, *, fixed: bool) -> "DataLoader[Batch]":
        trainer = self.trainer
        sampler = SpatialBatchSampler(
            data.centres,
            self.batch_size,
            self.seed,
            fixed=fixed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        return DataLoader(
            GroupDataset(data),
            sampler=sampler,
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=self.execution.num_workers,
            pin_memory=self.execution.pin_memory,
            persistent_workers=self.execution.persistent_workers,
            prefetch_factor=self.execution.prefetch_factor,
        )

    def train_dataloader(self) -> "DataLoader[Batch]":
        """Spatial batches in another partition every epoch."""
        return self._loader(self.train_groups, fixed=False)

    def val_dataloader(self) -> "list[DataLoader[Batch]]":
        """Return the same batches every epoch, or nothing."""
        if self.validation_groups is None:
            return []
        return [self._loader(self.validation_groups, fixed=True)]
