import numpy as np
import pytest
from ptycho_config import ModelConfig
from ptycho_physics import extract_patches, probe_intensity
from ptycho_tf.frameworks import tf
from ptycho_tf.networks.unrolled import Unrolled


@pytest.fixture(scope="module")
def network():
    return Unrolled(ModelConfig(architecture="unrolled", n_filters_scale=1))


def test_the_untrained_network_is_a_solver_already(network, patterns, scan):
    found = network(*patterns(1)).numpy()[..., 0]
    true = extract_patches(scan.object_guess, scan.positions[[0, 5, 10]], 64)
    light = probe_intensity(scan.probe)
    for one, other in zip(found, true, strict=True):
        inner = np.vdot(one * light, other)
        norms = np.vdot(one * light, one) * np.vdot(other * light, other)
        assert np.abs(inner) / np.sqrt(norms.real) > 0.9


def test_patches_of_a_group_agree(network, patterns):
    x, positions, probe, bad = patterns(4)
    together = network(x, positions, probe, bad).numpy()
    shuffled = [2, 0, 3, 1]
    again = network(
        tf.gather(x, shuffled, axis=3), tf.gather(positions, shuffled, axis=3), probe, bad
    )
    np.testing.assert_allclose(again.numpy(), together[..., shuffled], atol=2e-4)


def test_bad_pixels_do_not_matter(network, patterns):
    x, positions, probe, _ = patterns(1)
    bad = np.zeros((64, 64), bool)
    bad[30:34] = True
    spoilt = tf.where(bad[..., None], 3.0, x)
    np.testing.assert_array_equal(
        network(x, positions, probe, tf.constant(bad)).numpy(),
        network(spoilt, positions, probe, tf.constant(bad)).numpy(),
    )


def test_the_phase_of_the_probe_is_a_matter_of_taste(network, patterns):
    x, positions, probe, bad = patterns(1)
    turned = probe * tf.constant(np.exp(1.3j), tf.complex64)
    expected = network(x, positions, probe, bad).numpy()
    np.testing.assert_allclose(network(x, positions, turned, bad).numpy(), expected, atol=2e-4)
