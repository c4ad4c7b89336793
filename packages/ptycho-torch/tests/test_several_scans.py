"""Several scans in one training."""

import numpy as np
import pytest
import torch
from attrs import evolve
from ptycho_core.training_data import gather
from ptycho_data import load_bundle, load_probe
from ptycho_physics import defocused_probe
from ptycho_torch.module import model_to_train
from ptycho_torch.reconstruction import reconstruct


@pytest.fixture
def other_scan(scan):
    """The sample at another dose, with another probe, half as many patterns and a bad pixel."""
    half = scan.select(np.arange(0, scan.n, 2))
    probe = np.roll(scan.probe, 3, axis=-1)
    bad = np.zeros((64, 64), dtype=bool)
    bad[10, 12] = True
    return evolve(half, probe=probe, diffraction=4 * half.diffraction, bad_pixels=bad)


def test_several_scans_are_trained_on_with_what_is_their_own(
    train, scan, other_scan, training, execution, inference
):
    result = train([scan, other_scan], training(), execution())
    bundle = load_bundle(result.bundle_path)
    first, second = bundle.scaling["scans"]
    assert (first["patterns"], second["patterns"]) == (scan.n, other_scan.n)
    assert second["photons"] == pytest.approx(4 * first["photons"], rel=0.1)
    assert np.isfinite(result.history["val_loss"]).all()
    assert not (result.bundle_path.parent / "refined").exists()
    for each in (scan, other_scan):  # inference has the probe of the scan at hand
        probe = reconstruct(bundle, each, inference(), execution()).reconstruction.probe
        np.testing.assert_allclose(probe, each.probe / np.linalg.norm(each.probe), atol=1e-6)


def test_each_scan_meets_its_own_probe_in_training(train, scan, training, execution):
    """A scan whose probe is wrong is fitted worse: so it is its own that it was trained with."""
    config = training(nepochs=1)
    right = train([scan, scan], config, execution(), overwrite=True).history["train_loss"][0]
    wrong = evolve(scan, probe=defocused_probe(64, 20))
    mixed = train([scan, wrong], config, execution(), overwrite=True).history["train_loss"][0]
    assert mixed > 1.1 * right


def test_trained_probes_of_several_scans_are_kept_beside_the_bundle(
    train, scan, other_scan, training, execution
):
    config = training(nepochs=1, n_groups=16, probe_trainable=True)
    folder = train([scan, other_scan], config, execution()).bundle_path.parent / "refined"
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == ["1-scan.npz", "2-scan.npz"]
    for path, each in zip(files, (scan, other_scan), strict=True):
        change = np.abs(load_probe(path) - each.probe / np.linalg.norm(each.probe)).max()
        assert 1e-5 < change < 0.1


@pytest.mark.parametrize("settings", [{}, {"probe_trainable": True}, {"positions_trainable": True}])
def test_a_test_scan_is_watched_with_its_own_bad_pixels_and_nothing_of_it_is_trained(
    scan, other_scan, training, settings
):
    config = training({"joint_stages": True}, **settings)
    data = gather([scan], other_scan, config)
    (watched,) = data.validation
    model = model_to_train(config, data.optics)
    lit = model.scans[watched.number]
    assert lit.bad_pixels.sum() == 1
    assert lit.shifts is None
    assert not watched.teams
    assert watched.margin == 0
    refined = config.probe_trainable
    assert len(model.probe_changes()) == refined
    if refined:
        with torch.no_grad():
            model.scans[0].probe_change += 0.1
        torch.testing.assert_close(lit.probe, model.scans[0].probe)
