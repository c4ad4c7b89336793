import numpy as np
import pytest
from ptycho_core.groups import ScanGroups
from ptycho_physics import amplitude_mae, poisson_deviance
from ptycho_physics.losses import BACKGROUND
from ptycho_tf.data import channels_last_batch
from ptycho_tf.frameworks import tf
from ptycho_tf.layout import channels_first
from ptycho_tf.learning import LearningModel
from ptycho_tf.model import PtychoModel


@pytest.fixture
def learning(tiny, scan, training, execution):  # noqa: ARG001 - registers the architecture
    def make(model=None, probe_trainable=False, **settings):
        config = training(model, **settings)
        made = PtychoModel(config.model, scan.probe, probe_trainable=probe_trainable)
        return LearningModel(made, config, execution())

    return make


@pytest.fixture
def batch(scan):
    groups = ScanGroups(scan=scan, groups=np.arange(6)[:, None], photons=1e5, truth_gain=1.0)
    return channels_last_batch(groups.batch(np.arange(6))) | {"update": True}


def as_tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def test_terms_are_the_losses_of_the_physics(learning, batch):
    model = learning(nll_weight=2.0, mae_weight=3.0, realspace_weight=1.0, realspace_mae_weight=1.0)
    terms = {name: float(value) for name, value in model.terms(as_tensors(batch)).items()}
    counts = batch["counts"][..., 0]
    x = np.sqrt(batch["counts"]) * 32 / np.sqrt(1e5)
    photons, positions = tf.constant(1e5), batch["positions"]
    patches = channels_first(model.model.diffraction_to_obj(tf.constant(x), positions, photons))
    patches = model.model.constrain(patches, positions, batch["canvas"], photons=photons)
    rate = model.model.predict_counts(patches, photons).numpy()[:, 0]
    deviance = poisson_deviance(rate + BACKGROUND, counts + BACKGROUND).mean()
    assert terms["nll"] == pytest.approx(2 * deviance / 2e5, rel=1e-3)
    error = amplitude_mae(rate, counts).mean() / (np.sqrt(1e5) * 32)
    assert terms["mae"] == pytest.approx(3 * error, rel=1e-3)
    assert set(terms) == {"nll", "mae", "realspace", "realspace_mae"}
    assert all(value > 0 for value in terms.values())


def test_supervised_compares_with_the_truth_alone(learning, batch):
    model = learning({"model_type": "supervised"})
    assert set(model.terms(as_tensors(batch))) == set(model.means) - {"loss"} == {"realspace_mae"}


def test_a_step_lowers_the_loss_and_reaches_everything(learning, batch):
    model = learning(probe_trainable=True)
    before = [v.numpy() for v in model.trainable_variables]
    losses = [float(model.train_step(as_tensors(batch))["loss"]) for _ in range(2)]
    model.reset_metrics()
    assert float(model.test_step(as_tensors(batch))["loss"]) < losses[0]
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.abs(variable.numpy() - old).max() > 0


def test_probe_and_scale_follow_rules_of_their_own(learning):
    model = learning(probe_trainable=True)
    rules = {v.name: model._rule(v) for v in model.trainable_variables}
    assert rules["log_scale"] == (1.0, 0.0)
    assert rules["probe_change"] == (2, 0.0)
    assert rules["kernel"] == (1.0, 1e-4)


@pytest.mark.parametrize("blind", [True, False])
def test_who_starts_blind_follows_a_gentle_likelihood_and_is_judged_by_the_real_one(
    learning, batch, blind
):
    model, tensors = learning(nll_weight=1.0), as_tensors(batch)
    model.blind = blind
    weight = model.trainable_variables[0].value

    def loss_and_slope(gentle):
        with tf.GradientTape() as tape:
            loss = model.terms(tensors, gentle)["nll"]
        return float(loss), tape.gradient(loss, weight).numpy()

    before, slope = loss_and_slope(None)
    model.begin_epoch(0)
    assert float(model.gentle) == blind
    after, gentle_slope = loss_and_slope(model.gentle)
    assert after == pytest.approx(before, rel=1e-5)
    different = np.linalg.norm(gentle_slope - slope) > 0.1 * np.linalg.norm(slope)
    assert different == blind
    assert float(model.train_step(tensors)["nll"]) == pytest.approx(before, rel=1e-5)
    model.begin_epoch(model.config.nepochs)
    assert float(model.gentle) == 0
