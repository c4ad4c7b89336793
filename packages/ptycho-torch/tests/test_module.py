import numpy as np
import pytest
import torch
from ptycho_core.groups import ScanGroups
from ptycho_physics import own_share
from ptycho_torch.data import tensors
from ptycho_torch.model import PtychoModel
from ptycho_torch.module import PROBE_RATE, WEIGHT_DECAY, PtychoModule


@pytest.fixture
def batch(scan):
    groups = np.arange(scan.n)[:, None]
    data = ScanGroups(scan=scan, groups=groups, photons=scan.mean_photons(), truth_gain=1.0)
    return tensors(data.batch(np.arange(6)))


@pytest.fixture
def module(scan, training, execution):
    def make(probe=None, **changes):
        config = training(**changes)
        model = PtychoModel(
            config.model,
            scan.probe if probe is None else probe,
            probe_trainable=config.probe_trainable,
        )
        return PtychoModule(model, config, execution(), "val_loss")

    return make


def test_terms_of_bright_scans_do_not_depend_on_the_dose(module, batch):
    # of 1e8 photons per pattern: a photon more or less in a pixel is what remains of the dose
    bright, brighter = (
        module(nll_weight=1.0, mae_weight=1.0).losses(
            batch | {name: gain * batch[name] for name in ("counts", "photons")}
        )
        for gain in (1e3, 1e6)
    )
    for name, value in brighter.items():
        torch.testing.assert_close(value, bright[name], rtol=1e-2, atol=0)


@pytest.mark.parametrize("blind", [True, False])
def test_who_starts_blind_follows_a_gentle_likelihood_and_is_judged_by_the_real_one(
    module, batch, blind
):
    learning = module(nll_weight=1.0)
    learning.blind = blind
    *_, parameter = learning.model.network.parameters()

    def loss_and_slope():
        loss = learning.losses(batch)["nll"]
        return loss.detach(), torch.autograd.grad(loss, parameter)[0]

    before, slope = loss_and_slope()
    learning.on_train_epoch_start()
    after, gentle_slope = loss_and_slope()
    torch.testing.assert_close(after, before)
    assert ((gentle_slope - slope).norm() > 0.1 * slope.norm()) == blind
    learning.eval()
    torch.testing.assert_close(loss_and_slope()[1], slope)


@pytest.mark.parametrize("photons", [1e2, 1e4, 1e8])
def test_the_fewer_the_photons_the_less_a_pattern_teaches_its_own_patch(module, photons):
    model = module().model
    patches = torch.ones(3, 1, 64, 64, dtype=torch.complex64, requires_grad=True)
    together = torch.full((3, 1, 1, 2), 40.0)  # all see the same place
    agreed = model.constrain(patches, together, (80, 80), photons=torch.tensor(photons))
    model.predict_counts(agreed, photons)[0].square().sum().backward()
    own, other, another = patches.grad.abs().sum(dim=(1, 2, 3)).tolist()
    assert other == pytest.approx(another, rel=1e-3)
    assert own == pytest.approx(float(own_share(photons, model.probe)) * other, rel=1e-2)


def test_descending_on_the_probe_alone_lowers_the_loss(scan, module, batch):
    bend = np.exp(6j * np.linspace(-1, 1, 64) ** 2).astype(np.complex64)
    wrong = module(probe=scan.probe * bend, probe_trainable=True)
    wrong.model.network.requires_grad_(requires_grad=False)
    optimizer = torch.optim.Adam(wrong.model.probe_changes(), 0.005)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = wrong.losses(batch)["nll"]
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.98 * losses[0]


def test_probe_and_scale_do_not_decay_and_the_probe_learns_faster(module, monkeypatch):
    trained = module(probe_trainable=True)
    seen = {}

    class Steps:
        estimated_stepping_batches = 10

    monkeypatch.setattr(trained, "_trainer", Steps())
    optimizer = trained.configure_optimizers()["optimizer"]
    for group in optimizer.param_groups:
        for weight in group["params"]:
            seen[weight.shape] = (group["weight_decay"], group["initial_lr"])
    assert seen[trained.model.probe_changes()[0].shape] == (0, PROBE_RATE * 2e-3)
    assert seen[trained.model.log_scale.shape] == (0, 2e-3)
    assert seen[trained.model.network.corrections[0].last.weight.shape] == (WEIGHT_DECAY, 2e-3)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(
        list(trained.parameters())
    )


def test_bad_pixels_do_not_enter_the_loss(scan, training, execution, batch):
    config = training(mae_weight=1.0)
    bad = np.zeros((64, 64), dtype=bool)
    bad[30:34, 31] = True
    model = PtychoModel(config.model, scan.probe, bad)
    module = PtychoModule(model, config, execution(), "val_loss")
    spoiled = batch | {"counts": torch.where(torch.from_numpy(bad), 1e6, batch["counts"])}
    for name, value in module.losses(spoiled).items():
        torch.testing.assert_close(value, module.losses(batch)[name])


def test_supervised_loss_vanishes_for_the_truth_alone(module, batch):
    supervised = module(model={"model_type": "supervised"})
    assert set(supervised.losses(batch)) == {"realspace_mae"}
    turned = batch["truth"] * complex(np.exp(2j))  # what no pattern can tell
    for patches in (batch["truth"], turned):
        terms = supervised._terms(batch, patches)
        assert float(terms["realspace_mae"]) == pytest.approx(0, abs=1e-6)
    assert float(supervised._terms(batch, batch["truth"] * 1.1)["realspace_mae"]) > 0.05
