import numpy as np
import pytest
import torch
from attrs import evolve
from ptycho_config import PyTorchExecutionConfig
from ptycho_core.batches import TEAM_SIZES
from ptycho_core.groups import ScanGroups
from ptycho_physics import extract_patches
from ptycho_torch.data import ScanDataModule, SpatialBatchSampler, tensors


@pytest.fixture
def groups(scan):
    indices = np.arange(scan.n)[:, None]
    return ScanGroups(scan=scan, groups=indices, photons=scan.mean_photons())


def test_batch_holds_what_its_documentation_says(scan):
    pairs = np.stack([np.arange(10), np.arange(10) + 1], axis=1)
    data = ScanGroups(scan=scan, groups=pairs, photons=5.0, truth_gain=1.0)
    batch = tensors(data.batch(np.array([2, 7, 3])))
    assert batch["counts"].shape == batch["truth"].shape == (3, 2, 64, 64)
    assert batch["counts"].dtype == torch.float32
    assert batch["positions"].shape == (3, 2, 1, 2)
    assert float(batch["photons"]) == 5
    np.testing.assert_array_equal(batch["counts"][1, 1].numpy(), scan.counts([8])[0])


def test_teams_of_a_batch_are_moved_apart_and_where_they_lie_is_not(groups):
    chosen = np.arange(8, 16)
    plain = tensors(groups.batch(chosen))
    batch = tensors(evolve(groups, teams=True, margin=4.0).batch(chosen))
    assert "apart" not in plain
    offsets = batch["positions"] - plain["positions"]
    torch.testing.assert_close(offsets, offsets[:1].expand_as(offsets), atol=1e-4, rtol=0)
    moved = (batch["apart"] - batch["positions"]).view(8, 2)
    same = (moved[:, None] - moved[None]).abs().amax(-1) < 1e-3
    y = batch["apart"][..., 1].view(8)
    assert int(same.sum(1).max()) in TEAM_SIZES
    assert ((y[:, None] - y[None]).abs()[~same] >= 64 + 1 + 8).all()


def test_positions_of_a_batch_are_those_of_its_canvas(scan, groups):
    chosen = np.array([4, 5, 17])
    batch = tensors(groups.batch(chosen))
    local = batch["positions"].squeeze(-2).squeeze(1).numpy()
    moved = scan.positions[chosen] - local
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-4)
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-4)  # by whole pixels
    H, W = batch["canvas"]
    patches = extract_patches(torch.zeros(H, W), torch.from_numpy(local), 64)  # all inside
    assert patches.shape == (3, 64, 64)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_group_is_seen_once_an_epoch(groups, world_size):
    seen = []
    lengths = set()
    for rank in range(world_size):
        sampler = SpatialBatchSampler([groups.centres], 8, 0, rank=rank, world_size=world_size)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        lengths.add(len(batches))
        seen += [i for _, batch in batches for i in batch]
    assert len(lengths) == 1  # no process waits for another
    assert set(seen) == set(range(48))
    if 48 % (8 * world_size) == 0:
        assert len(seen) == 48


def test_batches_change_with_the_epoch_and_repeat_with_the_seed(groups):
    def of(epoch, **options):
        sampler = SpatialBatchSampler([groups.centres], 8, 0, **options)
        sampler.set_epoch(epoch)
        return [tuple(batch) for _, batch in sampler]

    assert of(3) == of(3)
    assert of(3) != of(4)
    assert of(3, fixed=True) == of(4, fixed=True)


def test_workers_read_the_same_batches(groups):
    def batches(workers):
        module = ScanDataModule(
            groups,
            None,
            batch_size=16,
            seed=0,
            execution=PyTorchExecutionConfig(num_workers=workers),
        )
        return list(module.train_dataloader())

    for one, two in zip(batches(0), batches(1), strict=True):
        assert one["canvas"] == two["canvas"]
        torch.testing.assert_close(one["counts"], two["counts"], rtol=0, atol=0)
        torch.testing.assert_close(one["positions"], two["positions"], rtol=0, atol=0)


def test_batches_of_several_scans_stay_apart_and_mix(scan, groups):
    few = ScanGroups(scan=scan, groups=np.arange(20)[:, None], photons=7.0, number=1, margin=4.0)
    module = ScanDataModule(
        [groups, few], None, batch_size=8, seed=0, execution=PyTorchExecutionConfig()
    )
    batches = list(module.train_dataloader())
    numbers = [batch["scan"] for batch in batches]
    assert len(batches) == 6 + 3
    assert numbers.count(1) == 3
    assert numbers != sorted(numbers)
    for number, n in ((0, 48), (1, 20)):
        own = [batch for batch in batches if batch["scan"] == number]
        assert sorted(i for batch in own for i in batch["indices"].ravel().tolist()) == [*range(n)]
        (photons,) = {float(batch["photons"]) for batch in own}
        assert photons == pytest.approx(7.0 if number else groups.photons)
    inside = next(batch for batch in batches if batch["scan"] == 1)
    assert inside["positions"].min() >= 32 + 4 - 1e-4
