import numpy as np
import pytest
from ptycho_config import InvalidValueError, ModelConfig
from ptycho_tf.frameworks import keras, tf
from ptycho_tf.networks import ARCHITECTURES, NETWORKS, build_network


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
@pytest.mark.parametrize("gridsize", [1, 2])
def test_every_network_gives_complex_patches(architecture, gridsize, patterns):
    model = ModelConfig(architecture=architecture, gridsize=gridsize, n_filters_scale=1)
    network, given = build_network(model), patterns(gridsize**2)
    more = {}
    if network.starts_from_scan:  # from a flat object, evenly lit
        flat = tf.ones_like(given[0])
        more = {"photons": 1e5, "start": tf.cast(flat, tf.complex64), "light": 1e-3 * flat}
    found = network(*given, **more)
    assert found.shape == (3, 64, 64, gridsize**2)
    assert found.dtype == "complex64"
    assert np.isfinite(found.numpy()).all()


def test_half_precision_stays_near(patterns, taught):
    keras.utils.set_random_seed(0)  # the largest difference depends on the initial weights
    model = ModelConfig(architecture="cnn", n_filters_scale=1)
    full, half = taught(build_network(model)), build_network(model, "mixed_bfloat16")
    for one, other in zip(full.parts[0].weights, half.parts[0].weights, strict=True):
        assert other.dtype == "float32"
        other.assign(one)
    expected, found = (network(*patterns(1)).numpy() for network in (full, half))
    difference = np.abs(found - expected).max()
    assert 0 < difference < 0.1


def test_an_unknown_architecture_names_those_there_are():
    with pytest.raises(InvalidValueError) as caught:
        build_network(ModelConfig(architecture="resnet"))
    assert caught.value.rule == "one of cnn, guided, unrolled with backend tensorflow"


def test_a_class_of_another_module_is_built_if_a_training_asks_for_it(tmp_path, monkeypatch):
    (tmp_path / "lab_networks.py").write_text("from ptycho_tf.networks.cnn import CNN as Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("ptycho_core.networks._TRUSTED", set())
    model = ModelConfig(architecture="lab_networks:Mine", n_filters_scale=1)
    with pytest.raises(InvalidValueError) as caught:
        build_network(model)
    assert caught.value.name == "architecture"
    NETWORKS.to_train(model)
    assert isinstance(build_network(model), ARCHITECTURES["cnn"])
