"""Load the counts of a scan, batch by batch, onto a device."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig
from ptycho_data import Scan
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Indices = NDArray[np.int64]


class CountsDataset(Dataset[Tensor]):
    """Counts (..., N, N) float32 of a scan for arrays of pattern numbers of any shape."""

    def __init__(self, scan: Scan, nphotons: float | None) -> None:
        self.scan = scan
        self.nphotons = nphotons

    def __getitem__(self, indices: Indices) -> Tensor:
        """Return the counts of the patterns ``indices``."""
        values = self.scan.counts(indices.reshape(-1), self.nphotons)
        return torch.from_numpy(values).reshape(*indices.shape, self.scan.N, self.scan.N)


def read(
    data: CountsDataset,
    batches: list[Indices],
    execution: PyTorchExecutionConfig,
    device: torch.device,
) -> Iterator[tuple[Indices, Tensor]]:
    """Yield pattern numbers and their counts, in order, on the device.

    Loading processes, pinned memory and prefetching are those of the execution settings.
    """
    loader = DataLoader(
        data,
        sampler=batches,  # type: ignore[arg-type]  # one item is a whole batch
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=execution.num_workers,
        pin_memory=execution.pin_memory and device.type == "cuda",
        prefetch_factor=execution.prefetch_factor,
    )
    for indices, counts in zip(batches, loader, strict=True):
        yield indices, counts.to(device, non_blocking=True)


def _as_it_is(batch: Tensor) -> Tensor:
    return batch
