"""The program that trains the universal network: `benchmarks/pretrain.py`."""

import sys

import numpy as np
import pytest
import torch


@pytest.fixture
def training(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    from pretraining import training

    yield training
    for name in [name for name in sys.modules if name.split(".")[0] == "pretraining"]:
        del sys.modules[name]


def test_a_seed_is_one_scene(training):
    one, same, other = (training.make_scene(seed, N=64) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.counts, same.counts)
    np.testing.assert_array_equal(one.truth, same.truth)
    assert one.counts.shape != other.counts.shape or (one.counts != other.counts).any()


@pytest.mark.parametrize("seed", range(3, 15))
def test_a_scene_is_a_scan_in_the_units_of_the_network(training, seed):
    """The expected counts behind the truth are those that were measured, to noise and faults."""
    from ptycho_physics import expected_counts, extract_patches

    scene = training.make_scene(seed)
    assert np.isfinite(scene.counts).all()
    assert (scene.counts >= 0).all()
    assert (np.abs(scene.probe) ** 2).sum() == pytest.approx(1, rel=1e-4)
    where = scene.positions.astype(np.float32)
    patches = extract_patches(scene.truth, where, scene.N)
    rate = np.asarray(expected_counts(patches, scene.probe, scene.photons))
    assert rate.sum(axis=(1, 2)).mean() == pytest.approx(scene.photons, rel=0.2)
    good = ~scene.bad_pixels
    misfit = np.abs(np.sqrt(rate[:, good]) - np.sqrt(scene.counts[:, good])).sum()
    assert misfit < 0.9 * np.sqrt(scene.counts).sum() + 0.5 * rate[:, good].size


def test_a_killed_training_goes_on_to_the_same_bits(training, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVED_EVERY", 3)
    device = torch.device("cpu")
    whole = training.Pretraining(tmp_path / "whole.pt", 6, 0, device)
    whole.run()
    killed = training.Pretraining(tmp_path / "killed.pt", 6, 0, device)
    update = killed._update

    def until_the_fifth(batch):
        if killed.step == 4:
            raise KeyboardInterrupt
        update(batch)

    monkeypatch.setattr(killed, "_update", until_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    resumed = training.Pretraining(tmp_path / "killed.pt", 6, 0, device)
    assert resumed.step == 3
    resumed.run()
    found, expected = resumed.mean.state_dict(), whole.mean.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
