"""Data augmentation: training batches simulated from mirrored reconstructions.

A short scan contains few shapes, to which a network overfits. The forward model simulates new
patterns from rotated and mirrored patches of the current reconstruction, which need not be correct,
because the simulated patterns are exact for it in any case. The probe is not changed.
"""

from functools import partial
from typing import Any

from ptycho_physics import SYMMETRIES, apply_symmetry, apply_symmetry_to_positions

from ptycho_tf import namespace as xp
from ptycho_tf.data import Batch
from ptycho_tf.frameworks import tf
from ptycho_tf.layout import channels_first, channels_last
from ptycho_tf.model import PtychoModel

Tensor = Any

#: Images of the object in a batch, which are turned with it.
_TURNED = ("truth", "start", "light")


def synthetic_names(batch: Batch) -> list[str]:
    """Return the names of the arrays of a batch that `synthetic_batch` replaces."""
    names = ("counts", "positions", "apart", "canvas", *_TURNED)
    return [name for name in names if name in batch]


def synthetic_batch(model: PtychoModel, batch: Batch, patches: Tensor) -> Batch:
    """Return simulated patterns of an object that the model has reconstructed.

    Parameters
    ----------
    model
        Model whose probe is used.
    batch
        The batch that was reconstructed; its ``synthetic_seed`` is the seed of orientation and
        photon noise.
    patches : (B, C, N, N) complex64
        Reconstructed patches, consistent where they overlap.

    Returns
    -------
    dict
        The arrays of `synthetic_names`, in the layout of a batch.
    """
    seed = batch["synthetic_seed"]
    ways = [partial(_in_orientation, model, batch, patches, k) for k in range(1, SYMMETRIES)]
    made = tf.switch_case(seed % (SYMMETRIES - 1), ways)
    rate = made["counts"]
    noise = tf.random.stateless_poisson(tf.shape(rate), [seed, 0], rate, tf.float32)
    made["counts"] = tf.ensure_shape(noise, rate.shape)
    return made


def _in_orientation(model: PtychoModel, batch: Batch, patches: Tensor, orientation: int) -> Batch:
    """Return the expected counts of rotated patches, and their positions."""
    N = patches.shape[-1]
    rate = model.predict_counts(apply_symmetry(patches, orientation, xp=xp), batch["photons"])
    made = {"counts": channels_last(rate)}
    for name in ("positions", "apart"):
        if name in batch:
            xy = apply_symmetry_to_positions(
                tf.transpose(batch[name], (0, 1, 3, 2)), orientation, xp=xp
            )
            made[name] = tf.transpose(xy, (0, 1, 3, 2))
    for name in _TURNED:
        if name in batch:
            image = channels_first(batch[name])
            made[name] = channels_last(apply_symmetry(image, orientation, xp=xp))
    xy = made["positions"]
    over = (0, 1, 3)
    xy = xy - tf.floor(tf.reduce_min(xy, axis=over, keepdims=True)) + N // 2
    most = tf.cast(tf.math.ceil(tf.reduce_max(xy, axis=over)), tf.int32)
    return made | {"positions": xy, "canvas": most[::-1] - N // 2 + N + 1}
