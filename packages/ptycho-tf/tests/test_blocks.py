import numpy as np
import pytest
from ptycho_tf.frameworks import keras, tf
from ptycho_tf.networks.blocks import convolution, smooth, unet, unfold


@pytest.fixture
def image():
    return tf.constant(np.random.default_rng(0).normal(size=(2, 8, 12, 3)), tf.float32)


def test_unfolded_channels_become_squares_of_pixels(image):
    unfolded = unfold(tf.concat([image] * 3 + [2 * image], axis=-1)).numpy()
    assert unfolded.shape == (2, 16, 24, 3)
    np.testing.assert_array_equal(unfolded[:, ::2, 1::2], image)
    np.testing.assert_array_equal(unfolded[:, 1::2, 1::2], 2 * image)


def test_smoothing_removes_what_alternates_and_keeps_what_is_flat():
    rows = tf.constant((-1.0) ** np.arange(8), tf.float32)
    smoothed = smooth(1 + tf.tile(rows[None, :, None, None], (1, 1, 8, 1))).numpy()
    np.testing.assert_allclose(smoothed[:, 1:-1], 1, atol=1e-6)


def test_an_untrained_unet_returns_zero():
    assert not np.any(unet((8, 16, 3), 2, 4, name="u")(tf.ones((1, 8, 16, 3))).numpy())


def test_initial_weights_stay_within_one_over_root_fan_in():
    keras.utils.set_random_seed(0)
    given = keras.Input((4, 4, 16))
    (layer,) = keras.Model(given, convolution(given, 32, "c")).layers[1:]
    for variable in (layer.kernel, layer.bias):
        largest = np.abs(variable.numpy()).max()
        assert 0.8 / 12 < largest <= 1 / 12
