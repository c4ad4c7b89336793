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


@pytest.fixture
def short(training, monkeypatch):
    """Save every two updates; two scenes of few patterns take turns."""
    for name, value in {"SAVED_EVERY": 2, "BATCHES": 1}.items():
        monkeypatch.setattr(training, name, value)
    monkeypatch.setattr(training.Pretraining, "scenes", 2)
    make_scene = training.make_scene
    monkeypatch.setattr(training, "make_scene", lambda seed: make_scene(seed, N=64))
    return training


def test_a_killed_training_goes_on_to_the_same_bits(short, tmp_path, monkeypatch):
    training, device = short, torch.device("cpu")
    whole = training.Pretraining(tmp_path / "whole.pt", 4, 0, device)
    whole.run()
    killed = training.Pretraining(tmp_path / "killed.pt", 4, 0, device)
    update = killed._update

    def until_the_fifth(batch):
        if killed.step == 3:
            raise KeyboardInterrupt
        update(batch)

    monkeypatch.setattr(killed, "_update", until_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    resumed = training.Pretraining(tmp_path / "killed.pt", 4, 0, device)
    assert resumed.step == 2
    resumed.run()
    found, expected = resumed.mean.state_dict(), whole.mean.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_training_starts_from_a_model_and_its_state_belongs_to_it(short, tmp_path):
    """Half the rate, other first weights; a state of another training is refused."""
    from ptycho_core.pretrained import find_model
    from ptycho_data import load_bundle

    bundle, device = load_bundle(find_model("universal").path), torch.device("cpu")
    file = tmp_path / "state.pt"
    started = short.Pretraining(file, 4, 0, device, bundle)
    found = started.mean.state_dict()
    for name, value in found.items():
        np.testing.assert_array_equal(value.numpy(), bundle.weights[f"network.{name}"])
    started.save()
    assert short.Pretraining(file, 4, 0, device, bundle).rate == short.LATER_RATE
    with pytest.raises(ValueError, match="state of a training with"):
        short.Pretraining(file, 4, 0, device)
    with pytest.raises(ValueError, match="state of a training with"):
        short.Pretraining(file, 8, 0, device, bundle)
