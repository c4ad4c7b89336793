import numpy as np
import pytest
from ptycho_tf.frameworks import tf
from ptycho_tf.layout import channels_first, channels_last, positions_of_patterns


@pytest.mark.parametrize("C", [1, 4])
def test_there_and_back(C):
    images = tf.reshape(tf.range(2 * 3 * 5 * C), (2, 3, 5, C))
    first = channels_first(images)
    assert first.shape == (2, C, 3, 5)
    np.testing.assert_array_equal(first.numpy(), np.moveaxis(images.numpy(), -1, 1))
    np.testing.assert_array_equal(channels_last(first).numpy(), images.numpy())


def test_positions_stay_pairs_of_x_and_y():
    positions = np.arange(3 * 4 * 2).reshape(3, 4, 2)  # (B, C, 2)
    found = positions_of_patterns(tf.constant(positions.transpose(0, 2, 1)[:, None]))
    np.testing.assert_array_equal(found.numpy(), positions)
