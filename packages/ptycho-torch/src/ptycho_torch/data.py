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
``scan`` int
    number of the scan among those trained on: all patterns of a batch come from one;
``indices`` (B, C) int64
    numbers of the patterns in their scan;
``apart`` (B, C, 1, 2) float32
    in training with ``joint_stages``: patch centres at which patches overlap within random teams of
    the batch only, where the network sees them: see `ptycho_core.batches.teams_apart`;
``truth`` (B, C, N, N) complex64
    ground-truth patches, for losses that need them; one is an object that absorbs as much as the
    scan does on average.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig
from ptycho_core import sampling
from ptycho_core.batches import spatial_batches, teams_apart
from ptycho_core.scan_scale import truth_patches
from torch.utils.data import DataLoader, Dataset, Sampler

from ptycho_torch.canvas import canvas_for

Batch = dict[str, Any]
Chosen = tuple[int, NDArray[np.int64]]


@frozen(eq=False, kw_only=True)
class ScanGroups(sampling.ScanGroups):
    """Groups of one scan of several, whose positions training may move.

    Attributes
    ----------
    number : int
        Of the scan, among those of the training: says whose probe and bad pixels belong to it.
    margin : float
        Pixels around the patches on a batch's canvas, for positions that training may move.
    """

    number: int = 0
    margin: float = 0.0


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
        corners = [positions.min(axis=0) - data.margin, positions.max(axis=0) + data.margin]
        canvas = canvas_for(np.stack(corners), scan.N)
        shape = (*groups.shape, scan.N, scan.N)
        counts = scan.counts(flat, data.nphotons).reshape(shape)
        local = canvas.local(positions).reshape(*groups.shape, 1, 2)
        batch: Batch = {
            "counts": torch.from_numpy(counts),
            "positions": torch.from_numpy(local.astype(np.float32)),
            "canvas": canvas.shape,
            "photons": torch.tensor(data.photons, dtype=torch.float32),
            "scan": data.number,
            "indices": torch.from_numpy(groups),
        }
        if data.teams:
            reach = scan.N + 1 + 2 * data.margin
            apart = teams_apart(positions.reshape(*groups.shape, 2), reach, seed=chosen)
            batch["apart"] = torch.from_numpy(apart[:, :, None].astype(np.float32))
        if data.truth_gain is not None:
            truth = truth_patches(scan, flat).reshape(shape) / np.float32(data.truth_gain)
            batch["truth"] = torch.from_numpy(truth)
        return batch


class ScansDataset(Dataset[Batch]):
    """Serves the batch of a part, by number, and an array of its group numbers."""

    def __init__(self, parts: Sequence[ScanGroups]) -> None:
        self.parts = [GroupDataset(part) for part in parts]

    def __getitem__(self, chosen: Chosen) -> Batch:
        """Return the batch of the groups ``chosen``, a pair (part, group numbers)."""
        part, groups = chosen
        return self.parts[part][groups]


class SpatialBatchSampler(Sampler[Chosen]):
    """Partitions the groups of each part into compact batches, another partition every epoch.

    Batches of several parts come in random order. With several processes each takes its share of
    the batches, and all the same number: the last ones are dealt out again where they do not
    divide.

    Parameters
    ----------
    centres : sequence of (B, 2) float arrays
        Where the groups of each part lie.
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
        centres: Sequence[NDArray[np.float64]],
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

    def _batches(self) -> list[Chosen]:
        batches = [
            (part, groups)
            for part, centres in enumerate(self.centres)
            for groups in spatial_batches(
                centres, self.batch_size, seed=(self.seed, self.epoch, part)[: 2 + (part > 0)]
            )
        ]
        if len(self.centres) == 1:
            return batches  # in random order already
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(batches))
        return [batches[k] for k in order]

    def __iter__(self) -> Iterator[Chosen]:
        """Yield pairs (part, group numbers)."""
        batches = self._batches()
        for k in range(len(self)):
            yield batches[(k * self.world_size + self.rank) % len(batches)]

    def __len__(self) -> int:
        """Batches of an epoch in this process."""
        batches = sum(-(-len(centres) // self.batch_size) for centres in self.centres)
        return -(-batches // self.world_size)


def _as_it_is(batch: Batch) -> Batch:
    return batch


class ScanDataModule(pl.LightningDataModule):
    """Training and validation batches.

    Parameters
    ----------
    train
        What to learn from: the groups of one scan, or of several.
    validation
        What to watch; None or nothing for no validation.
    batch_size
        Groups per batch.
    seed
        Of the batches.
    execution
        Workers, memory pinning and prefetching.
    """

    def __init__(
        self,
        train: ScanGroups | Sequence[ScanGroups],
        validation: ScanGroups | Sequence[ScanGroups] | None,
        *,
        batch_size: int,
        seed: int,
        execution: PyTorchExecutionConfig,
    ) -> None:
        super().__init__()
        self.train_parts = _parts(train)
        self.validation_parts = _parts(validation)
        self.batch_size = batch_size
        self.seed = seed
        self.execution = execution

    def _loader(self, parts: Sequence[ScanGroups], *, fixed: bool) -> "DataLoader[Batch]":
        trainer = self.trainer
        sampler = SpatialBatchSampler(
            [part.centres for part in parts],
            self.batch_size,
            self.seed,
            fixed=fixed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        return DataLoader(
            ScansDataset(parts),
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
        return self._loader(self.train_parts, fixed=False)

    def val_dataloader(self) -> "list[DataLoader[Batch]]":
        """Return the same batches every epoch, or nothing."""
        if not self.validation_parts:
            return []
        return [self._loader(self.validation_parts, fixed=True)]


def _parts(given: ScanGroups | Sequence[ScanGroups] | None) -> list[ScanGroups]:
    if given is None:
        return []
    return [given] if isinstance(given, ScanGroups) else list(given)
