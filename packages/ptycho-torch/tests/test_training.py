"""What a training learns, with every option."""

import numpy as np
import pytest
import torch
from attrs import evolve
from ptycho_data import load_bundle
from ptycho_physics import inscribed_circle, simulate_counts
from ptycho_torch.bundles import model_from
from ptycho_torch.model import PtychoModel
from ptycho_torch.module import PtychoModule
from ptycho_torch.reconstruction import reconstruct


def weights(result):
    return load_bundle(result.bundle_path).weights


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("architecture", ["cnn", "unrolled"])
@pytest.mark.parametrize("gridsize", [1, 2])
def test_every_network_trains_with_every_gridsize(
    train, scan, training, execution, architecture, gridsize
):
    config = training({"architecture": architecture, "gridsize": gridsize}, n_groups=16, nepochs=1)
    result = train(scan, config, execution())
    assert np.isfinite(result.history["train_loss"]).all()
    assert load_bundle(result.bundle_path).config["model"]["gridsize"] == gridsize


def test_equal_bits_need_equal_numbers_of_threads(train, scan, training, execution):
    ends = []
    for number, threads in enumerate((2, 2, 1)):
        torch.set_num_threads(threads)
        result = train(scan, training(nepochs=1, n_groups=8), execution(), output=f"{number}")
        ends.append((load_bundle(result.bundle_path).weights, result.history["train_loss"][0]))
    (first, loss), (second, _), (_, other) = ends
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values, err_msg=name)
    assert other == pytest.approx(loss, rel=1e-4)  # of one batch, before any step


def test_accumulating_two_half_batches_is_a_step_of_its_own(train, scan, training, execution):
    result = train(scan, training(nepochs=2), execution(accum_steps=2))
    assert np.isfinite(result.history["train_loss"]).all()


def test_a_test_scan_replaces_the_split(train, scan, training, execution):
    result = train(scan, training(nepochs=1), execution(), test_scan=scan)
    assert set(result.history) >= {"val_loss", "train_loss", "val_nll", "learning_rate"}


def test_amplitudes_train_like_the_counts_they_came_from(train, scan, training, execution):
    amplitude = np.sqrt(scan.diffraction).astype(np.float32)
    as_amplitude = evolve(
        scan,
        diffraction=amplitude / amplitude.max(),
        domain="amplitude",
        nphotons=scan.mean_photons(),
    )
    counts = train(scan, training(), execution(), output="a")
    amplitudes = train(as_amplitude, training(), execution(), output="b")
    np.testing.assert_allclose(
        amplitudes.history["train_loss"], counts.history["train_loss"], rtol=1e-2
    )


def test_patterns_without_light_do_not_harm(train, scan, training, execution):
    dark = scan.diffraction.copy()
    dark[:20] = 0
    config = training(nepochs=1, batch_size=1, n_groups=30, nll_weight=0.0, mae_weight=1.0)
    history = train(evolve(scan, diffraction=dark), config, execution()).history
    assert np.isfinite(history["train_loss"]).all()


@pytest.mark.slow
def test_wrong_positions_move_towards_the_right_ones(train, scan, training, execution):
    rng = np.random.default_rng(3)
    error = rng.normal(scale=1.0, size=(scan.n, 2))
    wrong = evolve(scan, xcoords=scan.xcoords + error[:, 0], ycoords=scan.ycoords + error[:, 1])
    config = training(nepochs=12, positions_trainable=True)
    result = train(wrong, config, execution(checkpoint_monitor_metric="train_loss"))
    with np.load(result.bundle_path.parent / "refined" / "1-scan.npz") as file:
        found = np.stack([file["xcoords"], file["ycoords"]], axis=1)
        np.testing.assert_allclose(file["offsets"], found - wrong.positions, atol=1e-9)

    def left(positions):
        off = positions - scan.positions
        return np.sqrt(np.square(off - off.mean(axis=0)).mean())

    assert left(found) < 0.8 * left(wrong.positions)


def test_the_mean_of_the_weights_is_kept_where_asked_for(
    train, scan, training, execution, monkeypatch
):
    steps = []

    def note(module, *_):
        steps.append([p.detach().clone() for p in module.model.network.parameters()])

    monkeypatch.setattr(PtychoModule, "on_train_batch_end", note)
    config = training(nepochs=1, n_groups=48, batch_size=8, average_weights=True)
    found = model_from(load_bundle(train(scan, config, execution()).bundle_path))
    counted = [t * (t + 1) for t in range(1, len(steps) + 1)]
    assert len(steps) > 3
    for k, parameter in enumerate(found.network.parameters()):
        wanted = sum(c * step[k] for c, step in zip(counted, steps, strict=True)) / sum(counted)
        torch.testing.assert_close(parameter.detach(), wanted, rtol=1e-4, atol=1e-6)


def test_intensity_scale_is_a_parameter_that_training_moves(train, scan, training, execution):
    for trainable in (True, False):
        config = training(
            nepochs=1,
            n_groups=16,
            intensity_scale_trainable=trainable,
        )
        result = train(scan, config, execution(), output=str(trainable))
        found = float(weights(result)["log_scale"])
        assert (found != 0) is trainable


def test_a_thousand_photons_are_enough_to_train_with(train, scan, training, execution):
    counts = simulate_counts(scan.object_guess, scan.probe, scan.positions, 1e3, seed=0)
    history = train(evolve(scan, diffraction=counts), training(), execution()).history
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert np.isfinite(history["val_loss"]).all()


@pytest.mark.gpu
@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_it_trains_and_reconstructs_on_a_gpu(
    train, scan, training, inference, execution, gridsize, precision
):
    config = training({"gridsize": gridsize}, n_groups=16, probe_trainable=True)
    settings = execution(accelerator="cuda", precision=precision)
    result = train(scan, config, settings)
    rec = reconstruct(load_bundle(result.bundle_path), scan, inference(), settings)
    assert rec.r_factor < 0.6


def test_joint_stages_are_trained_in_teams_and_kept(train, scan, training, execution):
    model, settings = {"joint_stages": True}, {"nepochs": 6, "synthetic_batches": True}
    config = training(model, n_groups=32, **settings)
    bundle = load_bundle(train(scan, config, execution()).bundle_path)
    assert bundle.config["model"]["joint_stages"]
    assert bundle.history["train_loss"][-1] < bundle.history["train_loss"][0]
    again = load_bundle(train(scan, config, execution(), output="again").bundle_path)
    for name, weight in bundle.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight)


def test_a_masked_probe_stays_in_its_circle_while_it_is_trained(scan, training):
    model = PtychoModel(training({"probe_mask": True}).model, scan.probe, probe_trainable=True)
    with torch.no_grad():
        model.scans[0].probe_change += 1
    power = model.probe.detach().abs().square().sum(0)
    assert power[torch.from_numpy(~inscribed_circle(64))].max() == 0
    assert power.sum().item() == pytest.approx(1, rel=1e-5)


def test_known_patches_leave_the_probe_alone(scan, training, execution):
    config = training({"object_big": False}, probe_trainable=True, realspace_mae_weight=1.0)
    model = PtychoModel(config.model, scan.probe, probe_trainable=True)
    module = PtychoModule(model, config, execution(), "train_loss")
    patches = torch.ones(2, 1, 64, 64, dtype=torch.complex64, requires_grad=True)
    batch = {
        "photons": torch.tensor(1e5),
        "counts": torch.ones(2, 1, 64, 64),
        "positions": torch.full((2, 1, 1, 2), 40.0),
        "canvas": (80, 80),
        "truth": 0.9 * torch.ones_like(patches),
    }
    error = module._terms(batch, patches)["realspace_mae"]
    assert torch.autograd.grad(error, model.probe_changes(), allow_unused=True) == (None,)
