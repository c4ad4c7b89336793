import numpy as np
import pytest
from ptycho_core.groups import ScanGroups
from ptycho_physics import apply_symmetry, apply_symmetry_to_positions
from ptycho_tf.augmentation import synthetic_batch, synthetic_names
from ptycho_tf.data import BatchSource, channels_last_batch
from ptycho_tf.frameworks import tf
from ptycho_tf.layout import channels_first
from ptycho_tf.learning import LearningModel
from ptycho_tf.model import PtychoModel


@pytest.fixture
def groups(scan):
    return ScanGroups(scan=scan, groups=np.arange(12).reshape(3, 4), photons=1e5, teams=True)


@pytest.fixture
def learning(tiny, scan, training, execution):  # noqa: ARG001 - registers the architecture
    config = training({"gridsize": 2})
    return LearningModel(PtychoModel(config.model, scan.probe), config, execution())


def as_tensors(batch, seed):
    batch = {**batch, "synthetic_seed": seed, "update": True}
    return {name: tf.constant(value) for name, value in batch.items()}


def placed(positions):
    """Positions (B, 1, 2, C) as (B * C, 2), from the first of them."""
    flat = np.asarray(positions)[:, 0].transpose(0, 2, 1).reshape(-1, 2)
    return flat - flat[0]


@pytest.mark.parametrize("seed", range(1, 8))
def test_it_holds_the_patterns_of_the_turned_object(learning, groups, seed):
    model, orientation = learning.model, 1 + seed % 7
    batch = as_tensors(channels_last_batch(groups.batch(np.arange(3))), seed)
    patches = learning._patches(batch)
    patches += 0.3 * tf.cast(tf.random.stateless_normal(patches.shape, [1, 2]), patches.dtype)
    made = synthetic_batch(model, batch, patches)
    assert list(made) == synthetic_names(batch) == ["counts", "positions", "apart", "canvas"]
    assert made["counts"].shape == batch["counts"].shape
    object_ = tf.constant(np.ascontiguousarray(apply_symmetry(patches.numpy(), orientation)))
    wanted = model.predict_counts(object_, batch["photons"]).numpy()
    noise = channels_first(made["counts"]).numpy() - wanted
    assert np.abs(noise.sum(axis=(-2, -1)) / np.sqrt(wanted.sum(axis=(-2, -1)))).max() < 6
    assert np.square(noise).sum() / wanted.sum() == pytest.approx(1, abs=0.1)
    truth = tf.transpose(patches, (0, 2, 3, 1))
    known = synthetic_batch(model, {**batch, "truth": truth}, patches)["truth"]
    np.testing.assert_array_equal(channels_first(known), object_)
    for name in ("positions", "apart"):
        expected = apply_symmetry_to_positions(placed(batch[name]), orientation)
        np.testing.assert_allclose(placed(made[name]), expected, atol=1e-3)
    xy, (height, width) = made["positions"].numpy(), made["canvas"].numpy()
    least, most = xy.min(axis=(0, 1, 3)), xy.max(axis=(0, 1, 3))
    assert (least >= 32).all()
    assert (most + 33 <= (width, height)).all()
    np.testing.assert_array_equal(synthetic_batch(model, batch, patches)["counts"], made["counts"])


def test_a_batch_without_a_seed_is_as_it_was(learning, groups):
    batch = as_tensors(channels_last_batch(groups.batch(np.arange(3))), 0)
    step = tf.function(learning._synthetic)
    for name, value in step(batch).items():
        np.testing.assert_array_equal(value, batch[name], err_msg=name)
    other = step({**batch, "synthetic_seed": tf.constant(5)})
    assert np.abs(other["counts"] - batch["counts"]).max() > 1


def test_every_other_batch_is_synthetic_in_the_middle_of_training(groups):
    source = BatchSource(parts=[groups], batch_size=1, seed=0, synthetic=lambda epoch: epoch == 2)
    seeds = []
    for source.epoch in range(4):
        seeds.append([int(batch["synthetic_seed"]) for batch in source.dataset()])
    assert [[seed > 0 for seed in epoch] for epoch in seeds] == [
        [False, False, False],
        [False, False, False],
        [False, True, False],
        [False, False, False],
    ]
