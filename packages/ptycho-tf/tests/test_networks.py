import numpy as np
import pytest
from ptycho_config import ModelConfig
from ptycho_tf.networks import ARCHITECTURES, build_network


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
@pytest.mark.parametrize("gridsize", [1, 2])
def test_every_network_gives_complex_patches(architecture, gridsize, patterns):
    model = ModelConfig(architecture=architecture, gridsize=gridsize, n_filters_scale=1)
    found = build_network(model)(*patterns(gridsize**2))
    assert found.shape == (3, 64, 64, gridsize**2)
    assert found.dtype == "complex64"
    assert np.isfinite(found.numpy()).all()


def test_half_precision_stays_near(patterns, taught):
    model = ModelConfig(architecture="cnn", n_filters_scale=1)
    full, half = taught(build_network(model)), build_network(model, "mixed_bfloat16")
    for one, other in zip(full.parts[0].weights, half.parts[0].weights, strict=True):
        assert other.dtype == "float32"
        other.assign(one)
    expected, found = (network(*patterns(1)).numpy() for network in (full, half))
    difference = np.abs(found - expected).max()
    assert 0 < difference < 0.1


def test_an_unknown_architecture_names_those_there_are():
    with pytest.raises(ValueError, match="one of cnn, unrolled expected in the TensorFlow"):
        build_network(ModelConfig(architecture="resnet"))
