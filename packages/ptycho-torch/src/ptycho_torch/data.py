"""Training batches as PyTorch tensors: see `ptycho_core.groups`.

Every array is a tensor, and ``positions`` and ``apart`` are (B, C, 1, 2).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig
from ptycho_core.batches import epoch_batches
from ptycho_core.groups import ScanGroups
from torch.utils.data import DataLoader, Dataset, Sampler

Batch = dict[str, Any]
Chosen = tuple[int, NDArray[np.int64]]


def tensors(batch: Batch) -> Batch:
    """Turn a batch of arrays into one of tensors."""
    made: Batch = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in batch.items()
    }
    for name in ("positions", "apart"):
        if name in made:
            made[name] = made[name].unsqueeze(-2)
    return made | {"photons": torch.tensor(batch["photons"])}


class ScansDataset(Dataset[Batch]):
    """Returns a batch, given the number of a part and an array of group numbers."""

    def __init__(self, parts: Sequence[ScanGroups]) -> None:
        self.parts = parts

    def __getitem__(self, chosen: Chosen) -> Batch:
        """Return the batch of the groups ``chosen``, a pair (part, group numbers)."""
        part, groups = chosen
        return tensors(self.parts[part].batch(groups))


class SpatialBatchSampler(Sampler[Chosen]):
    """Partitions the groups of each part into compact batches, differently in every epoch.

    Batches of several parts come in random order. With several processes each takes its share of
    the batches; if they do not divide evenly, some are used twice, so that all have the same
    number.

    Parameters
    ----------
    centres : sequence of (B, 2) float arrays
        Centres of the groups of each part.
    batch_size
        Groups per batch.
    seed
        Seed of the batches.
    fixed
        Keep one partition for all epochs, as for validation.
    rank, world_size
        Rank of this process, and number of processes.
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
        return epoch_batches(self.centres, self.batch_size, self.seed, self.epoch)

    def __iter__(self) -> Iterator[Chosen]:
        """Yield pairs (part, group numbers)."""
        batches = self._batches()
        for k in range(len(self)):
            yield batches[(k * self.world_size + self.rank) % len(batches)]

    def __len__(self) -> int:
        """Return the number of batches per epoch in this process."""
        batches = sum(-(-len(centres) // self.batch_size) for centres in self.centres)
        return -(-batches // self.world_size)


def _as_it_is(batch: Batch) -> Batch:
    return batch


class ScanDataModule(pl.LightningDataModule):
    """Training and validation batches.

    Parameters
    ----------
    train
        Groups to train on, of one scan or of several.
    validation
        Groups to validate on; None or empty for no validation.
    batch_size
        Groups per batch.
    seed
        Seed of the batches.
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
        """Spatial batches, partitioned differently in every epoch."""
        return self._loader(self.train_parts, fixed=False)

    def val_dataloader(self) -> "list[DataLoader[Batch]]":
        """Return the same batches in every epoch, or an empty list."""
        if not self.validation_parts:
            return []
        return [self._loader(self.validation_parts, fixed=True)]


def _parts(given: ScanGroups | Sequence[ScanGroups] | None) -> list[ScanGroups]:
    if given is None:
        return []
    return [given] if isinstance(given, ScanGroups) else list(given)
