import numpy as np
import pytest
from ptycho_config import ModelConfig
from ptycho_tf.frameworks import tf
from ptycho_tf.networks.cnn import AMPLITUDE_ACTIVATIONS, CNN


def make(**settings):
    return CNN(ModelConfig(architecture="cnn", n_filters_scale=1, **settings))


@pytest.mark.parametrize("name", list(AMPLITUDE_ACTIVATIONS))
def test_zero_gives_unit_amplitude(name):
    assert float(AMPLITUDE_ACTIVATIONS[name](tf.zeros(()))) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("pad_object", "probe_big"), [(True, True), (True, False), (False, True)])
def test_the_periphery(patterns, taught, pad_object, probe_big):
    network = taught(make(pad_object=pad_object, probe_big=probe_big))
    decoders = [layer.name for layer in network.parts[0].layers if "periphery" in layer.name]
    assert bool(decoders) == (pad_object and probe_big)
    found = network(*patterns(1))
    rim = found.numpy()[:, :16]
    assert (np.ptp(np.abs(rim)) > 0) == (not pad_object or probe_big)


def test_depth_grows_with_n_and_another_n_is_refused(patterns):
    def levels(network):
        return sum(layer.name.startswith("encoder") for layer in network.parts[0].layers) // 2

    large = make(N=128)
    assert (levels(make()), levels(large)) == (3, 4)
    with pytest.raises(ValueError, match="cnn: built for N=128, found patterns of N=64"):
        large(*patterns(1))


def test_training_starts_from_an_object_of_one(patterns):
    np.testing.assert_array_equal(make()(*patterns(1)).numpy(), 1)


def test_bad_pixels_do_not_matter(patterns, taught):
    x, positions, probe, _ = patterns(1)
    bad = np.zeros((64, 64), bool)
    bad[30:34] = True
    network = taught(make())
    spoilt = tf.where(bad[..., None], 1e3, x)
    np.testing.assert_array_equal(
        network(x, positions, probe, tf.constant(bad)).numpy(),
        network(spoilt, positions, probe, tf.constant(bad)).numpy(),
    )
