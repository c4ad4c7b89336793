"""Batches for training: groups of patterns that lie close together on the sample.

A batch is a dictionary:

``counts`` (B, N, N, C) float32
    measured counts;
``positions`` (B, 1, 2, C) float32
    patch centres ``(x, y)`` on the batch's canvas;
``canvas`` (2,) int32
    shape ``(H, W)`` of that canvas;
``photons`` float32 scalar
    mean counts per pattern of the scan;
``update`` bool scalar
    whether the weights change after this batch, for gradients added up over several;
``imagined`` int32 scalar
    in training with ``imagined_batches``: where not 0, the seed of a batch that takes the place of
    this one: see `ptycho_tf.imagined`;
``apart`` (B, 1, 2, C) float32
    in training with ``joint_stages``: patch centres at which patches overlap within random teams of
    the batch only, where the network sees them: see `ptycho_core.batches.teams_apart`;
``truth`` (B, N, N, C) complex64
    ground-truth patches, for losses that need them; one is an object that absorbs as much as the
    scan does on average.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig
from ptycho_core import sampling
from ptycho_core.batches import spatial_batches, teams_apart
from ptycho_core.scan_scale import truth_patches
from ptycho_physics import Canvas

from ptycho_tf.frameworks import tf

Batch = dict[str, Any]


@frozen(eq=False, kw_only=True)
class ScanGroups(sampling.ScanGroups):
    """Groups of a scan, and the batches made of them."""

    @property
    def format(self) -> dict[str, tf.TensorSpec]:
        """What a batch of it holds."""
        C, N = self.groups.shape[1], self.scan.N
        form = {
            "counts": tf.TensorSpec((None, N, N, C), tf.float32),
            "positions": tf.TensorSpec((None, 1, 2, C), tf.float32),
            "canvas": tf.TensorSpec((2,), tf.int32),
            "photons": tf.TensorSpec((), tf.float32),
        }
        if self.teams:
            form["apart"] = form["positions"]
        if self.truth_gain is not None:
            form["truth"] = tf.TensorSpec((None, N, N, C), tf.complex64)
        return form

    def batch(self, chosen: NDArray[np.int64]) -> Batch:
        """Return the batch of the groups ``chosen`` (B,), as arrays."""
        scan, groups = self.scan, self.groups[chosen]
        flat, shape = groups.reshape(-1), (*groups.shape, scan.N, scan.N)
        canvas = Canvas.covering(scan.positions[flat], scan.N)
        local = canvas.local(scan.positions[groups])
        batch: Batch = {
            "counts": _channels_last(scan.counts(flat, self.nphotons).reshape(shape)),
            "positions": _of_groups(local),
            "canvas": np.array(canvas.shape, np.int32),
            "photons": np.float32(self.photons),
        }
        if self.teams:
            batch["apart"] = _of_groups(teams_apart(local, scan.N + 1, seed=chosen))
        if self.truth_gain is not None:
            truth = truth_patches(scan, flat).reshape(shape) / np.float32(self.truth_gain)
            batch["truth"] = _channels_last(truth)
        return batch


def _of_groups(positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Turn positions (B, C, 2) into (B, 1, 2, C)."""
    return positions.astype(np.float32).transpose(0, 2, 1)[:, np.newaxis]


def _channels_last(images: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(images, 1, -1))


@define(kw_only=True)
class BatchSource:
    """Partitions the groups into spatially compact batches, another partition every epoch.

    Several devices take batches in turn, and all the same number: the first ones are dealt out
    again where they do not divide.

    Parameters
    ----------
    data
        The groups.
    batch_size
        Groups per batch.
    seed
        Same seed, same batches.
    execution
        Loading threads and prefetching; batches per change of the weights.
    fixed
        Keep one partition, for validation.
    replicas
        Devices that share the batches.
    imagines
        Whether batches are imagined in an epoch, counted from 0; None where they never are.
    epoch
        Chooses the partition; set before each epoch.
    """

    data: ScanGroups
    batch_size: int
    seed: int
    execution: PyTorchExecutionConfig = field(factory=PyTorchExecutionConfig)
    fixed: bool = False
    replicas: int = 1
    imagines: Callable[[int], bool] | None = None
    epoch: int = 0

    @property
    def per_device(self) -> int:
        """Batches of an epoch for each device."""
        return -(-len(self.data.groups) // (self.batch_size * self.replicas))

    @property
    def updates(self) -> int:
        """Changes of the weights in an epoch."""
        return -(-self.per_device // self.execution.accum_steps)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], bool]]:
        """Yield group numbers of each batch, and whether the weights change after it."""
        seed = (self.seed, 0 if self.fixed else self.epoch)
        batches = spatial_batches(self.data.centres, self.batch_size, seed=seed)
        for k in range(self.per_device * self.replicas):
            done = k // self.replicas + 1
            update = done % self.execution.accum_steps == 0 or done == self.per_device
            yield batches[k % len(batches)], update

    def _imagined(self, k: int) -> np.int32:
        """Return 0, or a seed for every other batch of a device that is to be imagined."""
        if self.imagines is None or not self.imagines(self.epoch) or k // self.replicas % 2 == 0:
            return np.int32(0)
        rng = np.random.default_rng((self.seed, self.epoch, k))
        return rng.integers(1, 2**31 - 1, dtype=np.int32)

    def loaded(self) -> Iterator[Batch]:
        """Yield the batches of an epoch, loaded ahead by as many threads as there are workers."""

        def load(item: tuple[int, tuple[NDArray[np.int64], bool]]) -> Batch:
            k, (chosen, update) = item
            batch = {**self.data.batch(chosen), "update": update}
            return batch if self.imagines is None else {**batch, "imagined": self._imagined(k)}

        if not self.execution.num_workers:
            yield from map(load, enumerate(self))
            return
        ahead = self.execution.num_workers * (self.execution.prefetch_factor or 2)
        coming: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(self.execution.num_workers) as pool:
            for item in enumerate(self):
                coming.append(pool.submit(load, item))
                if len(coming) > ahead:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def dataset(self) -> tf.data.Dataset:
        """Return the batches of one epoch; each time it is gone through, of the current one."""
        form = {**self.data.format, "update": tf.TensorSpec((), tf.bool)}
        if self.imagines is not None:
            form["imagined"] = tf.TensorSpec((), tf.int32)
        batches = tf.data.Dataset.from_generator(self.loaded, output_signature=form)
        count = self.per_device * self.replicas
        return batches.apply(tf.data.experimental.assert_cardinality(count)).prefetch(1)
