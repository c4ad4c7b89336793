import numpy as np
import pytest
from ptycho_config import PyTorchExecutionConfig
from ptycho_core.groups import ScanGroups
from ptycho_core.sampling import training_groups
from ptycho_tf.data import BatchSource, channels_last_batch


@pytest.fixture
def groups(scan, training):
    config = training({"gridsize": 2}, n_groups=20)
    return ScanGroups(scan=scan, groups=training_groups(scan, config), photons=1e5, truth_gain=2.0)


def source(groups, execution=None, **settings):
    settings = {
        "batch_size": 8,
        "seed": 0,
        "execution": PyTorchExecutionConfig(**execution or {}),
    } | settings
    return BatchSource(parts=[groups], **settings)


def members(batches):
    return sorted(k for (_, chosen), _ in batches for k in chosen)


def test_a_batch_holds_what_it_says(groups, scan):
    chosen = np.array([3, 5])
    batch = channels_last_batch(groups.batch(chosen))
    pattern = groups.groups[5, 2]
    np.testing.assert_array_equal(batch["counts"][1, :, :, 2], scan.counts([pattern])[0])
    x, y = batch["positions"][1, 0, :, 2]
    height, width = batch["canvas"]
    assert 32 <= x <= width - 32
    assert 32 <= y <= height - 32
    inside = batch["positions"] - batch["positions"][:1, :, :, :1]
    far = scan.positions[pattern] - scan.positions[groups.groups[3, 0]]
    np.testing.assert_allclose(inside[1, 0, :, 2], far, atol=1e-4)
    row, column = np.round(scan.positions[pattern][::-1]).astype(int)
    true = scan.object_guess[row, column] / 2
    assert abs(batch["truth"][1, 32, 32, 2] - true) < 0.1


def test_every_group_once_in_an_epoch_and_in_other_company_in_the_next(groups):
    batches = source(groups)
    first = list(batches)
    batches.epoch = 1
    second = list(batches)
    assert members(first) == members(second) == list(range(20))
    assert any(set(a[0][1]) != set(b[0][1]) for a, b in zip(first, second, strict=True))
    fixed = source(groups, fixed=True, epoch=1)
    assert [list(a[1]) for a, _ in fixed] == [list(a[1]) for a, _ in first]


def test_devices_get_the_same_number_of_batches(groups):
    shared = list(source(groups, replicas=2))
    assert len(shared) == 4
    assert set(members(shared)) == set(range(20))


def test_weights_change_after_accum_steps_and_at_the_end(groups):
    batches = source(groups, {"accum_steps": 2})
    assert [update for _, update in batches] == [False, True, True]
    assert batches.updates == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_the_data_set_has_its_batches_in_order(groups, workers):
    batches = source(groups, {"num_workers": workers})
    found = list(batches.dataset().as_numpy_iterator())
    assert len(found) == 3
    for batch, ((_, chosen), update) in zip(found, batches, strict=True):
        expected = channels_last_batch(groups.batch(chosen))
        assert batch["update"] == update
        for name, value in expected.items():
            np.testing.assert_array_equal(batch[name], value)


def test_workers_load_ahead(groups, monkeypatch):
    loaded = []
    batch = ScanGroups.batch
    monkeypatch.setattr(ScanGroups, "batch", lambda s, c: loaded.append(len(c)) or batch(s, c))
    coming = source(groups, {"num_workers": 2, "prefetch_factor": 1}, batch_size=2).loaded()
    next(coming)
    coming.close()
    assert len(loaded) > 1
