"""Training batches in Keras's layout: see `ptycho_core.groups`.

Images are channels last, (B, N, N, C), and positions (B, 1, 2, C). A batch also holds

``update`` bool scalar
    whether the weights are updated after this batch, when gradients are accumulated;
``synthetic_seed`` int32 scalar
    in training with ``synthetic_batches``: if not 0, the seed of a simulated batch that replaces
    this one: see `ptycho_tf.augmentation`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from ptycho_config import PyTorchExecutionConfig
from ptycho_core.batches import epoch_batches
from ptycho_core.groups import ScanGroups
from ptycho_core.read_ahead import read_ahead

from ptycho_tf.frameworks import tf

Batch = dict[str, Any]
Chosen = tuple[int, NDArray[np.int64]]


def batch_format(groups: ScanGroups) -> dict[str, tf.TensorSpec]:
    """Return shapes and dtypes of the arrays of a batch."""
    C, N = groups.groups.shape[1], groups.scan.N
    form = {
        "counts": tf.TensorSpec((None, N, N, C), tf.float32),
        "positions": tf.TensorSpec((None, 1, 2, C), tf.float32),
        "canvas": tf.TensorSpec((2,), tf.int32),
        "photons": tf.TensorSpec((), tf.float32),
        "scan": tf.TensorSpec((), tf.int32),
        "indices": tf.TensorSpec((None, C), tf.int64),
    }
    if groups.teams:
        form["apart"] = form["positions"]
    if groups.start is not None:
        form["start"] = tf.TensorSpec((None, N, N, C), tf.complex64)
        form["light"] = tf.TensorSpec((None, N, N, C), tf.float32)
    if groups.truth_gain is not None:
        form["truth"] = tf.TensorSpec((None, N, N, C), tf.complex64)
    return form


def channels_last_batch(batch: Batch) -> Batch:
    """Convert a batch, of arrays as well, from the axis order of the physics to that of Keras."""
    images = [name for name in ("counts", "truth", "start", "light") if name in batch]
    made: Batch = {name: np.moveaxis(batch[name], 1, -1) for name in images}
    for name in ("positions", "apart"):
        if name in batch:
            made[name] = batch[name].transpose(0, 2, 1)[:, np.newaxis]
    return batch | made | {"canvas": np.array(batch["canvas"], np.int32)}


@define(kw_only=True)
class BatchSource:
    """Partitions the groups into spatially compact batches, differently in every epoch.

    Several devices take batches in turn; if the batches do not divide evenly, the first ones are
    used again, so that all devices have the same number.

    Parameters
    ----------
    parts
        Groups of each scan.
    batch_size
        Groups per batch.
    seed
        Seed of the batches.
    execution
        Loading threads and prefetching; batches per update of the weights.
    fixed
        Keep one partition for all epochs, as for validation.
    replicas
        Number of devices that share the batches.
    synthetic
        Whether batches are simulated in an epoch, counted from 0; None if they never are.
    epoch
        Number of the epoch, which determines the partition; set before each epoch.
    """

    parts: Sequence[ScanGroups]
    batch_size: int
    seed: int
    execution: PyTorchExecutionConfig = field(factory=PyTorchExecutionConfig)
    fixed: bool = False
    replicas: int = 1
    synthetic: Callable[[int], bool] | None = None
    epoch: int = 0

    @property
    def per_device(self) -> int:
        """Number of batches per epoch for each device."""
        batches = sum(-(-len(part.groups) // self.batch_size) for part in self.parts)
        return -(-batches // self.replicas)

    @property
    def updates(self) -> int:
        """Number of weight updates per epoch."""
        return -(-self.per_device // self.execution.accum_steps)

    def __iter__(self) -> Iterator[tuple[Chosen, bool]]:
        """Yield part and group numbers of each batch, and whether an update follows it."""
        epoch = 0 if self.fixed else self.epoch
        centres = [part.centres for part in self.parts]
        batches = epoch_batches(centres, self.batch_size, self.seed, epoch)
        for k in range(self.per_device * self.replicas):
            done = k // self.replicas + 1
            update = done % self.execution.accum_steps == 0 or done == self.per_device
            yield batches[k % len(batches)], update

    def _synthetic_seed(self, k: int) -> np.int32:
        """Return 0, or for every other batch of a device the seed of the simulated batch."""
        if self.synthetic is None or not self.synthetic(self.epoch) or k // self.replicas % 2 == 0:
            return np.int32(0)
        rng = np.random.default_rng((self.seed, self.epoch, k))
        return rng.integers(1, 2**31 - 1, dtype=np.int32)

    def loaded(self) -> Iterator[Batch]:
        """Yield the batches of an epoch, loaded ahead by one thread per worker."""

        def load(item: tuple[int, tuple[Chosen, bool]]) -> Batch:
            k, ((part, chosen), update) = item
            batch = channels_last_batch(self.parts[part].batch(chosen)) | {"update": update}
            return (
                batch
                if self.synthetic is None
                else batch | {"synthetic_seed": self._synthetic_seed(k)}
            )

        return read_ahead(
            load,
            enumerate(self),
            workers=self.execution.num_workers,
            per_worker=self.execution.prefetch_factor or 2,
        )

    def dataset(self) -> tf.data.Dataset:
        """Return a data set that yields the batches of the current epoch at each iteration."""
        form = {**batch_format(self.parts[0]), "update": tf.TensorSpec((), tf.bool)}
        if self.synthetic is not None:
            form["synthetic_seed"] = tf.TensorSpec((), tf.int32)
        batches = tf.data.Dataset.from_generator(self.loaded, output_signature=form)
        count = self.per_device * self.replicas
        return batches.apply(tf.data.experimental.assert_cardinality(count)).prefetch(1)
