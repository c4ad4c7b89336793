import attrs
import numpy as np
import pytest
from ptycho_config import ModelConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_tf.bundles import bundle_of, model_from, named_weights
from ptycho_tf.model import PtychoModel


def make(scan, **model):
    settings = ModelConfig(**{"architecture": "cnn", "n_filters_scale": 1, **model})
    config = TrainingConfig(model=settings, backend="tensorflow", neighbor_count=4)
    made = PtychoModel(settings, scan.probe)
    made.log_scale.assign(0.3)
    bundle = bundle_of(made, config, photons=1e5, domain="counts", history={}, overrides_applied={})
    return made, bundle


@pytest.mark.parametrize("architecture", ["cnn", "unrolled"])
def test_a_model_returns_from_its_bundle(scan, architecture):
    made, bundle = make(scan, architecture=architecture)
    again = model_from(bundle)
    assert float(again.log_scale.numpy()) == pytest.approx(0.3)
    for name, value in named_weights(made).items():
        np.testing.assert_array_equal(named_weights(again)[name], value)


def test_what_a_bundle_says(scan):
    _, bundle = make(scan)
    assert bundle.backend == "tensorflow"
    assert {"keras", "ptycho-tf"} <= set(bundle.versions)
    assert bundle.scaling["input_scale"] == pytest.approx(32 / 1e5**0.5)
    assert bundle.scaling["intensity_scale"] == pytest.approx(np.exp(0.3) * 1e5**0.5 / 32)
    assert np.linalg.norm(bundle.probe) == pytest.approx(1, rel=1e-5)
    assert bundle.weights["network.encoder.0.0.0.weight"].shape == (32, 2, 3, 3)


def test_an_architecture_unknown_here_names_both_sides(scan):
    _, bundle = make(scan)
    foreign = attrs.evolve(bundle, backend="pytorch", config=dict(bundle.config))
    foreign.config["model"] = {**bundle.config["model"], "architecture": "resnet"}
    with pytest.raises(InvalidValueError) as refused:
        model_from(foreign)
    assert refused.value.name == "architecture"
    assert "trained with pytorch, and should run with tensorflow" in refused.value.advice


def test_another_size_only_where_the_network_takes_any(scan):
    large = np.pad(scan.probe, ((0, 0), (32, 32), (32, 32)))
    _, bundle = make(scan, architecture="unrolled")
    assert model_from(bundle, large).config.N == 128
    _, bundle = make(scan)
    with pytest.raises(ValueError, match="of 64 x 64 pixels, the N of the model, got 128"):
        model_from(bundle, large)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda weights: weights.pop("log_scale"),
        lambda weights: weights.update(other=np.zeros(1)),
        lambda weights: weights.update({"network.encoder.0.0.0.bias": np.zeros(1)}),
    ],
)
def test_weights_of_another_network_are_refused(scan, spoil):
    _, bundle = make(scan)
    spoil(bundle.weights)
    with pytest.raises(InvalidValueError) as refused:
        model_from(bundle)
    assert refused.value.name == "weights of the bundle"
